"""B8: what the durable audit entry costs, against test builds of the product that leave it out or commit one at a time."""

from installation import Gateway
from load import wrk
from rounds import interleave
from table import ratio, speed

ASKED = {16: (0.60, 0.75), 64: (0.80, 0.92)}


def run(bench):
    gateways = {
        "audited": Gateway(bench.programs.carekeep, bench.main),
        "unaudited": Gateway(bench.programs.variant, bench.main, "unaudited"),
        "a commit per read": Gateway(bench.programs.variant, bench.main, "commit-per-read"),
    }
    try:
        _compare(bench, gateways)
    finally:
        for gateway in gateways.values():
            gateway.stop()


def _compare(bench, gateways):
    chart = bench.chart
    asked = {name: gateway.request(chart.tenant, chart.read_path, chart.token) for name, gateway in gateways.items()}
    for connections, (floor, aim) in ASKED.items():
        names = ["audited", "unaudited"] + (["a commit per read"] if connections == 64 else [])
        bench.say(f"B8, {connections} connections")

        def measure(name):
            url, headers = asked[name]
            # The first batch of a process after another one's turn reads what that one wrote.
            wrk(url, connections, 1, headers)
            return wrk(url, connections, bench.seconds, headers)

        rounds = interleave({name: lambda name=name: measure(name) for name in names}, bench.rounds)
        bench.table.add(
            "B8",
            f"audited / unaudited (test build), {connections} connections",
            ratio(rounds.ratio("audited", "unaudited"), floor),
            f">= {floor:.2f}, aim {aim:.2f}",
            speed(rounds, "audited"),
            speed(rounds, "unaudited"),
            rounds.note(),
        )
        if connections == 64:
            bench.table.add(
                "B8",
                "group commit / a commit per read (test build), 64 connections",
                ratio(rounds.ratio("audited", "a commit per read"), 3),
                ">= 3, aim 8",
                speed(rounds, "audited"),
                speed(rounds, "a commit per read"),
                rounds.note(),
            )
