"""Processor time, from /proc: of the bench's own processes by name, and of everybody else.

Ours is what descends from this process: load generators, gateways, their Postgres and Redis, the bare handler. A process
that ends leaves its time with whoever waited for it, so sums over own and waited-for time lose nothing.
"""

import os
import re
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def _processes():
    """pid -> (name, parent, own seconds, seconds of ended children)"""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        fields = text[text.rindex(")") + 2 :].split()
        user, system, waited_user, waited_system = (int(value) / TICK for value in fields[11:15])
        found[int(entry.name)] = (name, int(fields[1]), user + system, waited_user + waited_system)
    return found


def _ours(processes):
    ours, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, (_, parent, _, _) in processes.items() if parent in ours} - ours
        ours, grown = ours | more, bool(more)
    return ours


def _stolen():
    """Seconds that the hypervisor gave to other machines."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / TICK


class Span:
    """What was used from its making until `end`."""

    def __init__(self):
        self.began = time.monotonic()
        self.seconds = 0.0
        self.others = 0.0
        self._first = self._look()
        self._names, self._pids = {}, {}

    @staticmethod
    def _look():
        processes = _processes()
        ours = _ours(processes)
        names, pids, others = {}, {}, _stolen()
        for pid, (name, parent, own, waited) in processes.items():
            if pid == os.getpid():
                names["load"] = names.get("load", 0.0) + waited
            elif pid in ours:
                names[name] = names.get(name, 0.0) + own + waited
                pids[pid] = own
            elif 2 not in (pid, parent):
                # Threads of the kernel write what our Postgres flushes; they are nobody else's.
                others += own + waited
        return names, pids, others

    def end(self):
        names, pids, others = self._look()
        before_names, before_pids, before_others = self._first
        self.seconds = time.monotonic() - self.began
        self._names = {name: used - before_names.get(name, 0.0) for name, used in names.items()}
        self._pids = {pid: used - before_pids.get(pid, 0.0) for pid, used in pids.items()}
        self.others = max(0.0, others - before_others) / self.seconds
        return self

    def of_name(self, name):
        """Seconds of our processes of a name; `load` are load generators that have ended."""
        return self._names.get(name, 0.0)

    def of_process(self, pid):
        """Seconds of one of our processes."""
        return self._pids.get(pid, 0.0)


def resident(pid):
    """MiB of memory that a process has resident."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def describe():
    """The machine in a few words."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores, {model[1] if model else 'unknown processor'}"
