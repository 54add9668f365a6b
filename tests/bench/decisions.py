"""B5: decisions with their entities, measured inside one process by the policy crate's own bench."""

import re
import subprocess


def _limit(value, most):
    return f"{value:.2f}" if value <= most else f"**{value:.2f}**"


def run(bench):
    bench.say("B5, decisions")
    out = subprocess.run([bench.programs.decide], capture_output=True, text=True, check=True).stdout

    def column(name):
        found = re.search(rf"^{re.escape(name)}\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)$", out, re.MULTILINE)
        return float(found[1]), float(found[2])

    p50, p99 = column("shipped")
    anew50, anew99 = column("evaluated: shipped")
    bench.table.add(
        "B5",
        "decision with entities, shipped policies, us",
        f"p50 {_limit(p50, 10)}, p99 {_limit(p99, 25)}",
        "p50 <= 10, p99 <= 25",
        f"the first of a kind, nothing remembered: p50 {anew50:.1f}, p99 {anew99:.1f}",
    )
    for what, mode in (("decided", "remembered decisions in use"), ("evaluated", "nothing remembered")):
        of_others, over_all = (
            float(re.search(rf"{kind} against 10, {what}: ([\d.]+) x", out)[1])
            for kind in ("policies of other roles", "policies over all roles")
        )
        bench.table.add(
            "B5",
            f"1,000 stored policies / 10, p50, {mode}",
            _limit(of_others, 1.2),
            "<= 1.20",
            "the 1,000 are about other roles",
            f"over all roles alike: {over_all:.2f}",
        )
