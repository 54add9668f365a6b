"""Making tenants, and reads spread over many of them."""

import json
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from installation import Gateway, Installation
from load import fixed_rate
from records import patient
from rounds import interleave
from table import ratio, speed

CREATED = 20
CREATION_P50 = 1.0
MOST_P99 = 1.15
CONNECTIONS = 64
# Signing in costs tens of milliseconds of both cores; more at once are told to wait.
AT_ONCE = 2

TENANT = """[partner]
slug = "northstar"
name = "Northstar Health"

[tenant]
slug = "{slug}"
name = "Bench Clinic {number}"
region = "eu-1"
hosts = ["{slug}.localhost"]

[[demo_people]]
login = "admin"
name = "Bench Admin"
roles = ["tenant_admin"]

[[demo_people]]
login = "clinician"
name = "Bench Clinician"
roles = ["clinician"]
"""


def creation(bench):
    """Times tenants that are made one after another through the control API."""
    bench.say(f"making {CREATED} tenants")
    times = []
    for number in range(CREATED):
        slug = f"made{number:02}"
        body = {"partner": {"slug": "northstar", "name": "Northstar Health"}, "slug": slug}
        body |= {"name": f"Made {number}", "region": "eu-1", "hosts": [f"{slug}.localhost"]}
        began = time.monotonic()
        bench.gateway.control("/control/tenants", body)
        times.append(time.monotonic() - began)
    p50 = statistics.median(times)
    bench.table.add(
        "tenants",
        f"making a tenant through the control API, {CREATED} one after another",
        f"p50 {p50:.2f} s" if p50 <= CREATION_P50 else f"**p50 {p50:.2f} s**",
        f"p50 <= {CREATION_P50:.0f} s",
        one=f"{min(times):.2f} to {max(times):.2f} s",
    )


class Crowd:
    """An installation with many tenants. It is kept for the next run: making it takes minutes."""

    def __init__(self, bench):
        state = bench.state / f"tenants-{bench.tenants}"
        if not (state / "demo.json").exists():
            bench.say(f"making a cell with {bench.tenants} tenants, which takes minutes; it is kept")
            # Half a cell cannot be finished: the passwords of its people are lost.
            shutil.rmtree(state, ignore_errors=True)
        bench.say(f"a cell with {bench.tenants} tenants")
        self.installation = Installation(bench.programs.carekeep, state, self._files(state, bench.tenants))
        self.gateway = Gateway(bench.programs.carekeep, self.installation)

    @staticmethod
    def _files(state, count):
        """A folder with the files of so many tenants."""
        folder = state.with_name(f"{state.name}-files-{count}")
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            place = folder / f"t{number:04}"
            place.mkdir(exist_ok=True)
            (place / "tenant.toml").write_text(TENANT.format(slug=f"t{number:04}", number=number))
        return folder

    def targets(self):
        """One read in each tenant: host, path, token."""
        known_file = self.installation.state / "bench-patients.json"
        known = json.loads(known_file.read_text()) if known_file.exists() else {}

        def one(index):
            # Sign-ins are limited by address: each tenant's clinician comes from one of their own.
            tenant = self.gateway.tenant(index, f"127.1.{index // 200}.{index % 200 + 1}")
            token = tenant.sign_in("clinician")
            if tenant.host not in known:
                known[tenant.host] = tenant.post("/fhir/R4/Patient", patient(), token)["id"]
            return tenant.host, f"/fhir/R4/Patient/{known[tenant.host]}", token

        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = list(pool.map(one, range(len(self.installation.demo["tenants"]))))
        known_file.write_text(json.dumps(known))
        return found

    def stop(self):
        self.gateway.stop()
        self.installation.stop()


def _write(path, targets):
    path.touch(mode=0o600)
    path.write_text("".join(" ".join(target) + "\n" for target in targets))
    return path


def _two(bench):
    """The same read in the two tenants of the main installation."""
    charts = [bench.chart_of(index) for index in (0, 1)]
    return [(chart.tenant.host, chart.read_path, chart.token) for chart in charts]


def spread(bench):
    """p99 of many tenants, asked by Zipf's law, against two, on a cell each, at one rate."""
    crowd = Crowd(bench)
    try:
        bench.say(f"signing in at {bench.tenants} tenants")
        many = _write(bench.state / "many.targets", crowd.targets())
        two = _write(bench.state / "two.targets", _two(bench))
        sides = {}
        for name, gateway, targets in (("many", crowd.gateway, many), ("two", bench.gateway, two)):
            options = {
                "address": f"127.0.0.1:{gateway.port}",
                "authority": gateway.installation.authority,
                "targets": targets,
                "rate": bench.rate,
                # A p99 stands on one read of a hundred: of a few seconds at this rate it would be chance.
                "seconds": bench.seconds * (2 if bench.quick else 6),
                # Each tenant is asked at least once before it counts.
                "warm_up": 2 if bench.quick else 3,
                "connections": CONNECTIONS,
            }
            sides[name] = lambda options=options: fixed_rate(bench.programs.load, options)
        fixed_rate(bench.programs.load, dict(options, zipf=0, address=f"127.0.0.1:{crowd.gateway.port}",
                                             authority=crowd.gateway.installation.authority, targets=many))
        bench.say(f"{bench.tenants} tenants against 2 at {bench.rate} reads/s")
        rounds = interleave(sides, bench.rounds)
        bench.table.add(
            "tenants",
            f"read p99 with {bench.tenants} tenants / with 2, both at {bench.rate}/s (open loop, Zipf)",
            ratio(rounds.ratio("many", "two", lambda sample: sample.p99), most=MOST_P99),
            f"<= {MOST_P99}",
            speed(rounds, "many"),
            speed(rounds, "two"),
            rounds.note(),
        )
    finally:
        crowd.stop()
