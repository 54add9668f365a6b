"""What the bench promises about its own figures. Run by `cargo nextest run -p carekeep-bench-tests`."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import profile_cpu
import variants
from load import Failed, Sample, read_wrk
from machine import Span
from rounds import interleave
from table import ratio

WRK = """Running 3s test @ http://127.0.0.1:1/
  Latency Distribution
     50%  {p50}
     75%    1.00ms
     90%    2.00ms
     99%  {p99}
  4242 requests in 3.00s, 1.00MB read
Requests/sec:   1414.00
"""
BUSY = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"


class Quiet:
    """A span in which others used so many cores."""

    def __init__(self, others):
        self.others = others


def sides(figures):
    """Two sides that give the rates and noise of a list, round by round."""
    rounds = [iter(figures), iter(figures)]

    def measure(index):
        rates, others = next(rounds[index])
        return Sample(rates[index], 1, 2, 1, Quiet(others))

    return {"one": lambda: measure(0), "other": lambda: measure(1)}


def silently(function, *arguments):
    with contextlib.redirect_stderr(io.StringIO()):
        return function(*arguments)


class Rounds(unittest.TestCase):
    def test_noisy_rounds_are_repeated_and_do_not_count(self):
        rounds = silently(interleave, sides([((9, 1), 0.9), ((1, 2), 0.1), ((9, 1), 0.4), ((3, 4), 0.0)]), 2)
        self.assertEqual(rounds.ratio("one", "other"), (0.625, 0.5, 0.75))
        self.assertEqual(rounds.note(), "2, 2 thrown away")

    def test_on_a_busy_machine_the_quietest_count_and_the_table_says_so(self):
        rounds = silently(interleave, sides([((9, 1), 0.9), ((1, 2), 0.4), ((9, 1), 0.8), ((3, 4), 0.5)]), 2)
        self.assertEqual(rounds.ratio("one", "other"), (0.625, 0.5, 0.75))
        self.assertEqual(rounds.note(), "2, 2 thrown away, **2 on a busy machine**")

    def test_a_figure_that_is_not_what_is_asked_is_bold(self):
        self.assertEqual(ratio((0.5, 0.4, 0.6), 0.45), "0.50 (0.40 to 0.60)")
        self.assertEqual(ratio((0.5, 0.4, 0.6), 0.55), "**0.50** (0.40 to 0.60)")
        self.assertEqual(ratio((1.2, 1.0, 1.3), most=1.15), "**1.20** (1.00 to 1.30)")


class Tools(unittest.TestCase):
    def test_times_of_wrk_are_read_in_every_unit(self):
        for p50, p99, expected in (("812.00us", "3.50ms", (0.812, 3.5)), ("1.20ms", "1.02s", (1.2, 1020.0))):
            sample = read_wrk(WRK.format(p50=p50, p99=p99), None)
            self.assertEqual((sample.p50, sample.p99, sample.rate, sample.requests), (*expected, 1414.0, 4242))

    def test_errors_under_load_are_no_measurement(self):
        for line in ("  Non-2xx or 3xx responses: 7", "  Socket errors: connect 0, read 1, write 0, timeout 0"):
            with self.assertRaises(Failed):
                read_wrk(WRK.format(p50="1.00ms", p99="2.00ms") + line, None)

    def test_a_sample_belongs_to_the_innermost_call_that_a_step_claims(self):
        tls = ["/aws-lc/crypto/gcm.c:1", "/r/rustls-0.23.40/src/x.rs:2", "/p/crates/gateway/src/edge/server/conn.rs:3"]
        envelope = ["/aws-lc/crypto/gcm.c:1", "/p/crates/keys/src/envelope.rs:9", "/p/crates/vault/src/sealed.rs:3"]
        commit = ["/r/sqlx-postgres-0.9.0/src/x.rs:2", "/p/crates/vault/src/audit.rs:2", "/p/crates/vault/src/batch.rs:3"]
        steps = [profile_cpu.step_of(stack)[0] for stack in (tls, envelope, commit, ["/lib/x.c:1"])]
        self.assertEqual(steps, ["TLS", "envelope and keys", "audit entry: made, hashed, committed", "not known"])

    def test_edits_that_do_not_fit_build_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            root, place = Path(folder) / "root", Path(folder) / "place"
            (root / "tests/bench").mkdir(parents=True)
            place.mkdir()
            (root / "a.rs").write_text("one two two")
            (root / "Cargo.toml").write_text('members = ["crates/*", "tests/bench"]\nx = { path = "crates/x" }\n')
            subprocess.run(["git", "init", "-q", root], check=True)
            edits = root / "tests/bench/variants.toml"
            edits.write_text('[[edit]]\nfile = "a.rs"\nfind = "one"\nput = "three"\n')
            variants.copy(root, place)
            self.assertEqual((place / "bench-variant/a.rs").read_text(), "three two two")
            # Otherwise cargo would take parts of it for the product's: it names them by their path in the workspace.
            deeper = 'members = ["bench-variant/crates/*", "bench-variant/tests/bench"]\nx = { path = "bench-variant/crates/x" }\n'
            self.assertEqual((place / "Cargo.toml").read_text(), deeper)
            self.assertEqual((root / "a.rs").read_text(), "one two two")
            edits.write_text('[[edit]]\nfile = "a.rs"\nfind = "two"\nput = "three"\n')
            with self.assertRaises(SystemExit):
                variants.copy(root, place)


class Machine(unittest.TestCase):
    def test_our_children_are_load_and_nobody_elses(self):
        span = Span()
        subprocess.run([sys.executable, "-c", BUSY], check=True)
        span.end()
        self.assertGreater(span.of_name("load"), 0.35)
        # A process whose parent has gone is not ours any more.
        with tempfile.TemporaryDirectory() as folder:
            done = os.path.join(folder, "done")
            os.mkfifo(done)
            span = Span()
            orphan = f"import os\nif os.fork(): os._exit(0)\nos.setsid()\n{BUSY}\nopen({done!r}, 'w').close()"
            subprocess.run([sys.executable, "-c", orphan], check=True)
            open(done).close()
            span.end()
        self.assertLess(span.of_name("load"), 0.2)
        self.assertGreater(span.others * span.seconds, 0.35)


if __name__ == "__main__":
    unittest.main()
