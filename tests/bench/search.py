"""A search of 20 observations: secured (each row decided, opened, all of it recorded) and bare."""

from load import wrk
from reads import best_pool
from records import PAGE
from rounds import interleave
from table import ratio, speed

CONNECTIONS = 16


def run(bench):
    bench.say(f"search of {PAGE} observations, {CONNECTIONS} connections")
    url, headers = bench.gateway.request(bench.chart.tenant, bench.chart.search_path, bench.chart.token)
    pool = best_pool(bench.bare, CONNECTIONS)
    wrk(url, CONNECTIONS, 1, headers)
    rounds = interleave(
        {
            "secured": lambda: wrk(url, CONNECTIONS, bench.seconds, headers),
            "bare over TLS": lambda: wrk(bench.bare.search("tls", pool), CONNECTIONS, bench.seconds),
        },
        bench.rounds,
    )
    bench.table.add(
        "search",
        f"secured search of {PAGE} observations / the same SQL unsecured over TLS, {CONNECTIONS} connections",
        ratio(rounds.ratio("secured", "bare over TLS")),
        one=speed(rounds, "secured"),
        other=f"{speed(rounds, 'bare over TLS')}, pool {pool}",
        rounds=rounds.note(),
    )
