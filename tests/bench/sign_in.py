"""Signing in by passkey, without a hash of a password on the way, and the check of a session that every request begins with."""

import subprocess

MOST_SIGN_IN_MS = 5
MOST_CHECK_US = 20
TIMES = 300


def _figures(command):
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: (float(p50), float(p99)) for name, p50, p99 in map(str.split, out.splitlines())}


def _limit(value, most):
    return f"{value:.2f}" if value <= most else f"**{value:.2f}**"


def run(bench):
    bench.say("signing in by passkey, checking a session")
    program, gateway = bench.programs.sign_in, bench.gateway
    tenant = bench.chart.tenant
    command = [program, "passkey", "--address", f"127.0.0.1:{gateway.port}"]
    command += ["--authority", gateway.installation.authority, "--host", tenant.host]
    command += ["--token", tenant.sign_in("clinician"), "--times", str(TIMES // 10 if bench.quick else TIMES)]
    signed = _figures(command)
    (p50, p99), (begin, _), (finish, _) = signed["both"], signed["begin"], signed["finish"]
    bench.table.add(
        "sign-in",
        "by passkey, both requests one after another over one connection, ms",
        f"p50 {_limit(p50, MOST_SIGN_IN_MS)}, p99 {p99:.2f}",
        f"p50 <= {MOST_SIGN_IN_MS}",
        f"to begin {begin:.2f}, to finish {finish:.2f} (p50)",
    )
    p50, p99 = _figures([program, "session"])["session"]
    bench.table.add(
        "session",
        "check of a session in process, steady state, us",
        f"p50 {_limit(p50, MOST_CHECK_US)}, p99 {p99:.2f}",
        f"p50 <= {MOST_CHECK_US}",
    )
