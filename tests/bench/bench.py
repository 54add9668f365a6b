"""The bench: one table, ratios from interleaved rounds. Run it by `./dev bench`; docs/performance.md explains it."""

import argparse
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import audit
import decisions
import importing
import machine
import profile_cpu
import reads
import search
import sign_in
import storm
import tenants
import variants
from installation import Bare, Gateway, Installation, Refused
from load import Failed
from records import PAGE, Chart
from rounds import QUIET
from table import Table

SECTIONS = {
    "import": importing.run,
    "reads": reads.run,
    "profile": profile_cpu.run,
    "search": search.run,
    "sign-in": sign_in.run,
    "storm": storm.run,
    "audit": audit.run,
    "decisions": decisions.run,
    "spread": tenants.spread,
    "creation": tenants.creation,
}


@dataclass
class Programs:
    """What was built."""

    carekeep: Path
    bare: Path
    load: Path
    decide: Path
    sign_in: Path
    variant: Path | None = None


class Bench:
    """What the sections share."""

    def __init__(self, options, programs):
        self.programs, self.table = programs, Table()
        self.quick, self.rounds, self.seconds = options.quick, options.rounds, options.seconds
        self.tenants, self.rate, self.data = options.tenants, options.rate, options.data
        self.most_bundles = 2 if options.quick else None
        self.state = Path(options.state)
        self._charts, self.failed = {}, []

    def start(self):
        """Starts what all sections measure."""
        # Always new, so that every run begins with the same databases.
        main, programs = self.state / "main", self.programs
        shutil.rmtree(main, ignore_errors=True)
        self.say("a new installation with two tenants")
        self.main = Installation(programs.carekeep, main, "tenants")
        self.gateway = Gateway(programs.carekeep, self.main)
        self.chart = self.chart_of(0)
        self.bare = Bare(programs.bare, self.main, self.chart.read_bytes(), self.chart.row_bytes())

    def say(self, text):
        """Progress, for whoever waits."""
        print(f"==> {text}", file=sys.stderr, flush=True)

    def chart_of(self, index):
        """A chart of the main installation's tenant, made when first asked for."""
        if index not in self._charts:
            self._charts[index] = Chart(self.gateway.tenant(index), PAGE + 5)
        return self._charts[index]

    def stop(self):
        """Stops what was started, the databases last."""
        for part in ("bare", "gateway", "main"):
            if hasattr(self, part):
                getattr(self, part).stop()


def parse():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    parser.add_argument("--data", type=Path, default=Path(".carekeep/sample"), help="folder of FHIR bundles to import")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, help="some sections only")
    parser.add_argument("--rounds", type=int, help="rounds of each comparison (5)")
    parser.add_argument("--seconds", type=int, help="seconds of each measurement (3)")
    parser.add_argument("--tenants", type=int, help="tenants of the crowded cell (200)")
    parser.add_argument("--rate", type=int, default=400, help="reads per second over many tenants and over two (400)")
    parser.add_argument("--quick", action="store_true", help="to see that it works: 2 rounds of 1 s, 20 tenants, 2 bundles")
    parser.add_argument("--fresh", action="store_true", help="make the crowded cell anew")
    parser.add_argument("--state", default=".carekeep/bench", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    normal, quick = {"rounds": 5, "seconds": 3, "tenants": 200}, {"rounds": 2, "seconds": 1, "tenants": 20}
    for name, value in (quick if options.quick else normal).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def measure(bench, name):
    """Runs a section; one that fails is a row of the table and leaves the others alone."""
    try:
        SECTIONS[name](bench)
    except (Failed, Refused, OSError, subprocess.CalledProcessError) as error:
        print(error, getattr(error, "stderr", None) or "", file=sys.stderr)
        bench.failed.append(name)
        bench.table.add(name, "did not finish", f"**{' '.join(str(error).split())[:200]}**")


def heading(options, took):
    version = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return (
        f"`./dev bench` of {version or 'an unknown version'} in {took / 60:.1f} min: {machine.describe()}; medians of "
        f"{options.rounds} interleaved rounds of {options.seconds} s (least to greatest in brackets), rounds in which others "
        f"used more than {QUIET} cores thrown away. Bold: not what is asked.\n"
    )


def main():
    options, began = parse(), time.monotonic()
    # Whatever ends this run ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    release = options.target / "release"
    programs = Programs(
        *(release / name for name in ("carekeep", "carekeep-bare", "carekeep-load", "carekeep-decide", "carekeep-sign-in"))
    )
    sections = options.only or list(SECTIONS)
    if options.fresh:
        shutil.rmtree(Path(options.state) / f"tenants-{options.tenants}", ignore_errors=True)
    if "audit" in sections:
        programs.variant = variants.build(Path.cwd(), Path(options.state) / "variant", options.target)
    bench = Bench(options, programs)
    try:
        bench.start()
        for name in sections:
            measure(bench, name)
        memory = machine.resident(bench.gateway.pid)
        figure = f"{memory:.0f} MiB" if memory <= 150 else f"**{memory:.0f} MiB**"
        bench.table.add("memory", "resident memory of the gateway after all of this", figure, "<= 150 MiB")
    finally:
        bench.stop()
    text = heading(options, time.monotonic() - began) + "\n" + bench.table.markdown()
    print("\n" + text)
    if options.out:
        options.out.write_text(text)
    if bench.failed:
        raise SystemExit(f"did not finish: {', '.join(bench.failed)}")


if __name__ == "__main__":
    main()
