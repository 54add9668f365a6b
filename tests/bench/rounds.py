"""Interleaved rounds: each measures all sides of a comparison one after another, and only ratios within a round count."""

import statistics
import sys
from dataclasses import dataclass, field

# Processor time of others, in cores, from which on a round says nothing about us.
QUIET = 0.3
# A busy machine is given up after so many times the wanted rounds; the quietest are used then, and the table says so.
PATIENCE = 2


@dataclass
class Rounds:
    """What came of it: one dict a round, by the name of the side."""

    samples: list = field(default_factory=list)
    thrown_away: int = 0
    noisy: int = 0

    def ratio(self, one, other, value=lambda sample: sample.rate):
        """Median, least and greatest of one side's value by the other's."""
        ratios = [value(samples[one]) / value(samples[other]) for samples in self.samples]
        return statistics.median(ratios), min(ratios), max(ratios)

    def median(self, side, value):
        """Median of a value of one side."""
        return statistics.median(value(samples[side]) for samples in self.samples)

    def note(self):
        """How it went, for the table."""
        parts = [str(len(self.samples))]
        if self.thrown_away:
            parts.append(f"{self.thrown_away} thrown away")
        if self.noisy:
            parts.append(f"**{self.noisy} on a busy machine**")
        return ", ".join(parts)


def interleave(sides, count):
    """Measures `sides`, name -> function that gives a Sample, in `count` quiet rounds."""
    names = list(sides)
    quiet, busy = [], []
    while len(quiet) < count and len(quiet) + len(busy) < count * PATIENCE:
        turn = (len(quiet) + len(busy)) % len(names)
        samples = {name: sides[name]() for name in names[turn:] + names[:turn]}
        others = max(sample.span.others for sample in samples.values())
        print("  " + ", ".join(f"{name} {samples[name].rate:.0f}/s" for name in names), file=sys.stderr, flush=True)
        if others <= QUIET:
            quiet.append(samples)
        else:
            print(f"  thrown away: others used {others:.1f} cores", file=sys.stderr, flush=True)
            busy.append((others, samples))
    busy.sort(key=lambda pair: pair[0])
    missing = count - len(quiet)
    used = [samples for _, samples in busy[:missing]]
    return Rounds(quiet + used, len(busy) - len(used), len(used))
