"""The bench: secured reads against a bare handler, interleaved in one run, as ratios.

Usage: bench.py CAREKEEP BARE STATE [ROUNDS [SECONDS]]
Needs wrk. Prints a Markdown table. Rounds while other processes used much processor time are thrown away.
"""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "clients"))
from fhir_client import Tenant  # noqa: E402


def jiffies(pid):
    """Processor time of a process and its children so far, in seconds."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        fields = stat.rsplit(")", 1)[1].split()
        if int(entry.name) == pid or int(fields[1]) == pid:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def wrk(url, connections, seconds, headers):
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    out = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"errors under load:\n{out}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    scale = {"us": 0.001, "ms": 1, "s": 1000}[p99[2]]
    return rate, float(p99[1]) * scale


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def start(carekeep, state):
    command = [carekeep, "dev", "--state", state, "--port", "0", "--no-data", "--limit-factor", "1000000"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if "is up after" in line:
            return server
    raise SystemExit("the product did not start")


def main(carekeep, bare, state, rounds=5, seconds=4):
    server = start(carekeep, state)
    other = None
    try:
        demo = json.loads((Path(state) / "demo.json").read_text())
        config = tomllib.loads((Path(state) / "carekeep.toml").read_text())
        tenant = Tenant(demo["tenants"][0], str(Path(state) / "tls" / "dev-ca.pem"))
        token = tenant.sign_in("clinician")
        filler = [{"system": "urn:example:mrn", "value": str(n) * 8, "use": "usual"} for n in range(30)]
        patient = tenant.post("/fhir/R4/Patient", {"resourceType": "Patient", "identifier": filler}, token)
        password = Path(config["provisioner_password_file"]).read_text()
        database = config["operations"]
        other = subprocess.Popen(
            [bare, database["host"], str(database["port"]), "carekeep_provisioner", password],
            stdout=subprocess.PIPE, text=True,
        )
        bare_url = other.stdout.readline().strip()
        port = tenant.base.rsplit(":", 1)[1]
        secured = {
            "url": f"https://127.0.0.1:{port}/fhir/R4/Patient/{patient['id']}",
            "headers": {"Host": tenant.base.removeprefix("https://"), "Authorization": f"Bearer {token}"},
        }
        table(rounds, seconds, secured, bare_url, server.pid)
    finally:
        if other:
            other.kill()
        server.send_signal(signal.SIGINT)
        server.wait(20)


def table(rounds, seconds, secured, bare_url, pid):
    print("| connections | bare rps | secured rps | ratio (median of pairs) | bare p99 ms | secured p99 ms | gateway CPU us/read |")
    print("|---|---|---|---|---|---|---|")
    for connections in (1, 16, 64):
        wrk(secured["url"], connections, 1, secured["headers"])
        pairs, bare_p99, secured_p99, cpu = [], [], [], []
        for _ in range(rounds):
            plain, p99 = wrk(bare_url, connections, seconds, {})
            bare_p99.append(p99)
            before = jiffies(pid)
            guarded, p99 = wrk(secured["url"], connections, seconds, secured["headers"])
            cpu.append((jiffies(pid) - before) / (guarded * seconds) * 1e6)
            secured_p99.append(p99)
            pairs.append((plain, guarded))
        ratio = statistics.median(guarded / plain for plain, guarded in pairs)
        middle = [statistics.median(values) for values in zip(*pairs)]
        print(
            f"| {connections} | {middle[0]:.0f} | {middle[1]:.0f} | {ratio:.2f} | {statistics.median(bare_p99):.1f} |"
            f" {statistics.median(secured_p99):.1f} | {statistics.median(cpu):.0f} |", flush=True,
        )
    print(f"\nResident memory of the gateway after the run: {resident(pid):.0f} MiB")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(*arguments[:3], *map(int, arguments[3:]))
