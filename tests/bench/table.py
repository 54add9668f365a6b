"""The one table."""


class Table:
    """Rows of Markdown; a row is printed as soon as it is known."""

    HEAD = ("id", "what", "result", "asked", "one side", "other side", "rounds")

    def __init__(self):
        self.rows = []

    def add(self, name, what, result, asked="reported", one="", other="", rounds=""):
        """Adds a row and shows it."""
        row = (name, what, result, asked, one, other, rounds)
        self.rows.append(row)
        print("  => " + " | ".join(str(cell) for cell in row if cell), flush=True)

    def markdown(self):
        """The table as text."""
        lines = ["| " + " | ".join(self.HEAD) + " |", "|" + "---|" * len(self.HEAD)]
        lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        return "\n".join(lines) + "\n"


def ratio(triple, floor=None, most=None):
    """`0.52 (0.50 to 0.54)`; a figure beyond what is asked is bold."""
    median, least, greatest = triple
    missed = (floor is not None and median < floor) or (most is not None and median > most)
    figure = f"**{median:.2f}**" if missed else f"{median:.2f}"
    return f"{figure} ({least:.2f} to {greatest:.2f})"


def speed(rounds, side):
    """Rate and latency of a side, medians over the rounds."""
    rate = rounds.median(side, lambda sample: sample.rate)
    p50 = rounds.median(side, lambda sample: sample.p50)
    p99 = rounds.median(side, lambda sample: sample.p99)
    return f"{rate:.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
