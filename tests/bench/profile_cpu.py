"""Where the gateway's processor time goes under secured reads: call stacks sampled by `perf`, sorted into steps.

A sample belongs to the step of its innermost call that any step claims, by the source file of the call: memory taken by a
decision is the decision's; a cipher is TLS's when rustls calls it, and the envelope's when an envelope does. Calls that
the compiler has put into their callers are found by addr2line.
"""

import re
import shutil
import subprocess
from collections import Counter

from load import Failed, wrk

CONNECTIONS = 64
SAMPLES_PER_SECOND = 499
# In order: the first whose pattern fits the path of a call's source file has it.
STEPS = [
    ("audit entry: made, hashed, committed", r"crates/vault/src/(audit|detail|log_signer|note)|crates/ledger/"),
    ("row: fetched", r"crates/vault/src/records/"),
    ("connections to Postgres", r"crates/pool/src"),
    ("session", r"crates/vault/src/session|gateway/src/api/session"),
    ("decision", r"crates/policy/|/cedar-policy"),
    ("limits", r"gateway/src/limits|/governor-"),
    ("telemetry", r"gateway/src/telemetry|/tracing|/opentelemetry|/prometheus"),
    ("TLS", r"/(tokio-)?rustls-"),
    ("socket", r"gateway/src/edge/server/"),
    ("edge and routing", r"crates/(gateway|portal|carekeep)/|/(axum|axum-core|tower|tower-http|matchit)-\d"),
    ("envelope and keys", r"crates/keys/"),
    ("vault, the rest", r"crates/(vault|care|fhir)/|/moka-"),
    ("HTTP", r"/(hyper|hyper-util|http|http-body|http-body-util|httparse)-\d"),
    ("runtime: waking and waiting", r"/(tokio|mio)-\d"),
]
_STEPS = [(name, re.compile(pattern)) for name, pattern in STEPS]
# address, symbol, program or library
_CALL = re.compile(r"^\s*([0-9a-f]+) (.*) \((.*)\)$")


def step_of(places):
    """The step of a call stack, and the place in the source that says so, given the places of its calls, innermost first."""
    for place in places:
        for name, pattern in _STEPS:
            if pattern.search(place):
                return name, place
    return "not known", ""


def _stacks(text, program):
    """Stacks of addresses in the program, innermost first; calls elsewhere (libc, the kernel) belong to their callers."""
    for block in re.split(r"\n\n+", text):
        calls = [call for call in map(_CALL.match, block.splitlines()) if call]
        if calls:
            yield [call[1] for call in calls if call[3] == program]


def _places(program, addresses):
    """address -> source file and line of the calls there, innermost first."""
    command = ["addr2line", "-e", program, "-i", "-a"]
    out = subprocess.run(command, input="\n".join(addresses), capture_output=True, text=True, check=True).stdout
    found, places = {}, []
    for line in out.splitlines():
        if line.startswith("0x"):
            places = found.setdefault(f"{int(line, 16):x}", [])
        else:
            places.append(line)
    return found


def _record(bench, url, headers, seconds):
    data = bench.state / "perf.data"
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_PER_SECOND)]
    command += ["--call-graph", "dwarf,16384", "-p", str(bench.gateway.pid), "-o", str(data), "--", "sleep", str(seconds)]
    try:
        perf = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        sample = wrk(url, CONNECTIONS, seconds, headers)
        said = perf.communicate()[1]
        if perf.returncode != 0:
            raise Failed(said)
        script = ["perf", "script", "-i", str(data), "--no-inline", "-F", "ip,sym,dso"]
        return subprocess.run(script, capture_output=True, text=True, check=True).stdout, sample
    finally:
        data.unlink(missing_ok=True)


def run(bench):
    what = f"gateway's processor time by step, us per read, {CONNECTIONS} connections"
    if not (shutil.which("perf") and shutil.which("addr2line")):
        bench.table.add("B1", what, "not measured: perf or addr2line is not here")
        return
    bench.say("profile of the gateway")
    url, headers = bench.gateway.request(bench.chart.tenant, bench.chart.read_path, bench.chart.token)
    wrk(url, CONNECTIONS, 1, headers)
    program = str(bench.programs.carekeep.resolve())
    try:
        text, sample = _record(bench, url, headers, 2 if bench.quick else 8)
        stacks = list(_stacks(text, program))
        places = _places(program, sorted({address for stack in stacks for address in stack}))
    except (Failed, subprocess.CalledProcessError) as error:
        bench.table.add("B1", what, f"not measured: perf failed ({error})")
        return
    if not stacks:
        bench.table.add("B1", what, "not measured: perf took no samples")
        return
    found = [step_of(place for address in stack for place in places.get(address, ())) for stack in stacks]
    detail = bench.state / "profile.txt"
    detail.write_text("".join(f"{count:6} {name:40} {place}\n" for (name, place), count in Counter(found).most_common()))
    total = sample.cpu_of(bench.gateway.pid)
    counts = Counter(name for name, _ in found)
    parts = ", ".join(f"{name} {count / len(stacks) * total:.1f}" for name, count in counts.most_common())
    bench.table.add("B1", what, f"{total:.0f}", one=parts, other=f"{len(stacks):,} samples by perf; by line in {detail}")
