"""B1: a secured read against the same SELECT by key without any of it; where the processor time goes."""

from load import wrk
from rounds import interleave
from table import ratio, speed

# Connections, and what issue 2 asks for: at least, aim.
ASKED = {1: (None, None), 16: (0.45, 0.60), 64: (0.60, 0.75)}
HOT_TENANT = 2_000


def best_pool(bare, connections, seconds=1):
    """The size of the bare handler's pool that serves so many connections fastest."""
    if connections == 1:
        return bare.pools[0]
    return max(bare.pools, key=lambda pool: wrk(bare.read("plain", pool), connections, seconds).rate)


def run(bench):
    chart, gateway, bare = bench.chart, bench.gateway, bench.bare
    url, headers = gateway.request(chart.tenant, chart.read_path, chart.token)
    for connections, (floor, aim) in ASKED.items():
        pool = best_pool(bare, connections)
        seconds = bench.seconds
        bench.say(f"B1, {connections} connections; the bare handler is fastest with a pool of {pool}")
        wrk(url, connections, 1, headers)
        rounds = interleave(
            {
                "secured": lambda: wrk(url, connections, seconds, headers),
                "bare over TLS": lambda: wrk(bare.read("tls", pool), connections, seconds),
                "bare": lambda: wrk(bare.read("plain", pool), connections, seconds),
            },
            bench.rounds,
        )
        asked = f">= {floor:.2f}, aim {aim:.2f}" if floor else "reported"
        secured = speed(rounds, "secured")
        for other, wanted in (("bare over TLS", asked), ("bare", "reported")):
            bench.table.add(
                "B1",
                f"secured read / {other}, {connections} connections",
                ratio(rounds.ratio("secured", other), floor if wanted == asked else None),
                wanted,
                secured,
                f"{speed(rounds, other)}, pool {pool}",
                rounds.note(),
            )
        _processor_time(bench, rounds, connections)
    _hot_tenant(bench, rounds)


def _processor_time(bench, rounds, connections):
    def of(side, process):
        parts = [("handler", lambda sample: sample.cpu_of(process))]
        for label, name in (("Postgres", "postgres"), ("Redis", "redis-server"), ("wrk", "load")):
            parts.append((label, lambda sample, name=name: sample.cpu(name)))
        return ", ".join(f"{label} {rounds.median(side, value):.0f}" for label, value in parts)

    bench.table.add(
        "B1",
        f"processor time, us per read, {connections} connections",
        f"gateway {rounds.median('secured', lambda sample: sample.cpu_of(bench.gateway.pid)):.0f}",
        one=of("secured", bench.gateway.pid).replace("handler", "gateway"),
        other=f"over TLS: {of('bare over TLS', bench.bare.pid)}; without: {of('bare', bench.bare.pid)}",
        rounds=rounds.note(),
    )


def _hot_tenant(bench, rounds):
    rate = rounds.median("secured", lambda sample: sample.rate)
    figure = f"{rate:.0f}/s" if rate >= HOT_TENANT else f"**{rate:.0f}/s**"
    bench.table.add("B8", "one hot tenant, audited reads, 64 connections", figure, f">= {HOT_TENANT:,}/s", rounds=rounds.note())
