"""Private installations: databases and people by `carekeep dev`, measured gateways by `carekeep serve`, the bare handler.

What is measured is a process of its own in the role that a cell runs, with the log level of one: `carekeep dev` keeps the
servers and makes the people, and then has nothing to do.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

from load import Failed

sys.path.insert(0, str(Path(__file__).parent.parent / "clients"))
from tenant import Refused, Tenant  # noqa: E402, F401

# Multiplies every rate limit: the limits stay in the path and refuse nobody.
LIMIT_FACTOR = 1_000_000


def free_port():
    """A port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process, patience=60):
    """Ends a process that was started here, in order."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Installation:
    """PostgreSQL (durable), Redis, tenants and people below a folder."""

    def __init__(self, carekeep, state, tenants):
        self.state = Path(state)
        command = [carekeep, "dev", "--state", state, "--tenants", tenants, "--port", "0", "--no-data"]
        command += ["--limit-factor", str(LIMIT_FACTOR)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        made = 0
        for line in self.process.stdout:
            if line.startswith(("tenant ", "  Bench Clinician")):
                made += 1
                if made % 50 == 0:
                    print(f"  {line.strip()}", file=sys.stderr, flush=True)
            if "is up after" in line:
                break
        else:
            raise Failed("the product did not start: see above")
        self.config = tomllib.loads((self.state / "carekeep.toml").read_text())
        self.authority = str(self.state / "tls" / "dev-ca.pem")
        self.demo = json.loads((self.state / "demo.json").read_text())

    def secret(self, setting):
        """The secret in a file that the configuration names."""
        return Path(self.config[setting]).read_text().strip()

    def stop(self):
        stop(self.process)


class Gateway:
    """A gateway process on an installation's databases."""

    def __init__(self, program, installation, variant=None):
        self.installation = installation
        self.port, self.internal = free_port(), free_port()
        text = (installation.state / "carekeep.toml").read_text()
        for setting, value in (
            ("listen", f'"127.0.0.1:{self.port}"'),
            ("internal", f'"127.0.0.1:{self.internal}"'),
            ("limit_factor", LIMIT_FACTOR),
        ):
            text, found = re.subn(rf"(?m)^{setting} = .*$", f"{setting} = {value}", text)
            if found != 1:
                raise Failed(f"carekeep.toml has no setting {setting}")
        config = installation.state / f"bench-{self.port}.toml"
        config.write_text(text)
        environment = dict(os.environ, CAREKEEP_BENCH_VARIANT=variant) if variant else None
        log = open(installation.state / "gateway.log", "ab")
        self.process = subprocess.Popen([program, "serve", "--config", config], stderr=log, stdout=log, env=environment)
        log.close()
        self._await_ready()
        config.unlink()

    def _await_ready(self):
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.internal}/health/ready", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        stop(self.process)
        raise Failed(f"the gateway did not start: see {self.installation.state / 'gateway.log'}")

    @property
    def pid(self):
        return self.process.pid

    def tenant(self, index, source="127.0.0.1"):
        """A tenant of the installation, at this gateway."""
        demo = self.installation.demo["tenants"][index]
        host = demo["base"].removeprefix("https://").partition(":")[0]
        return Tenant(demo, self.installation.authority, f"https://{host}:{self.port}", source)

    def request(self, tenant, path, token):
        """What wrk needs to ask for a path of a tenant: address and headers. No server name: wrk asks by address."""
        return f"https://127.0.0.1:{self.port}{path}", {"Host": tenant.host, "Authorization": f"Bearer {token}"}

    def control(self, path, body):
        """Asks the control API."""
        headers = {
            "authorization": f"Bearer {self.installation.secret('control_token_file')}",
            "content-type": "application/json",
        }
        address = f"http://127.0.0.1:{self.internal}{path}"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def stop(self):
        stop(self.process)


class Bare:
    """The handler to compare with, on the same PostgreSQL."""

    def __init__(self, program, installation, read_bytes, row_bytes):
        database = installation.config["operations"]
        password = installation.secret("provisioner_password_file")
        self.process = subprocess.Popen(
            [program, database["host"], str(database["port"]), "carekeep_provisioner", str(read_bytes), str(row_bytes)],
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, CAREKEEP_BARE_PASSWORD=password),
        )
        line = self.process.stdout.readline()
        if not line:
            raise Failed("the bare handler did not start: see above")
        self._says = json.loads(line)
        self.pools = self._says["pools"]

    @property
    def pid(self):
        return self.process.pid

    def read(self, transport, pool):
        """Address of the read, `plain` or `tls`, over a pool of so many connections."""
        return f"{self._says[transport]}/{pool}/read/{self._says['id']}"

    def search(self, transport, pool):
        """Address of the search for 20 rows."""
        return f"{self._says[transport]}/{pool}/search/{self._says['patient']}"

    def stop(self):
        stop(self.process)
