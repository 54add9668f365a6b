"""Load generators: wrk, which keeps a number of connections busy, and carekeep-load, which keeps a rate."""

import json
import re
import subprocess
from dataclasses import dataclass

from machine import Span

_SCALE = {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}


@dataclass
class Sample:
    """One measurement. Times in milliseconds."""

    rate: float
    p50: float
    p99: float
    requests: int
    span: Span

    def cpu(self, name):
        """Processor time per request of our processes of a name, in microseconds."""
        return self.span.of_name(name) / self.requests * 1e6

    def cpu_of(self, pid):
        """Processor time per request of one process, in microseconds."""
        return self.span.of_process(pid) / self.requests * 1e6


class Failed(Exception):
    """Answers under load that were no success: a measurement of errors is none."""


def _percentile(text, share):
    found = re.search(rf"\s{share}%\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(found[1]) * _SCALE[found[2]]


def wrk(url, connections, seconds, headers=None):
    """Asks for one thing over and over."""
    command = ["wrk", f"-t{min(2, connections)}", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    span = Span()
    out = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    return read_wrk(out, span.end())


def read_wrk(out, span):
    """What wrk says."""
    if "Non-2xx" in out or "Socket errors" in out:
        raise Failed(out)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    requests = int(re.search(r"(\d+) requests in", out)[1])
    return Sample(rate, _percentile(out, 50), _percentile(out, 99), max(requests, 1), span)


def _fixed_rate(program, options):
    command = [program]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return command


class Background:
    """Asks at a fixed rate beside a measurement, whatever the answers; `options` as of fixed_rate."""

    def __init__(self, program, options):
        self._process = subprocess.Popen(_fixed_rate(program, options), stdout=subprocess.PIPE, text=True)

    def report(self):
        """What became of the requests, once all have been sent."""
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise Failed(f"carekeep-load ended with {self._process.returncode}")
        return json.loads(out)


def fixed_rate(program, options):
    """Asks at a fixed rate; `options` are those of carekeep-load by name."""
    span = Span()
    out = subprocess.run(_fixed_rate(program, options), capture_output=True, text=True, check=True).stdout
    span.end()
    report = json.loads(out)
    if report["refused"] or report["failed"]:
        raise Failed(out)
    return Sample(report["rps"], report["p50_ms"], report["p99_ms"], max(report["answered"], 1), span)
