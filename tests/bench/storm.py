"""Reads while many people try to sign in at once: hashing passwords may not take the processors away from them."""

from load import Background, fixed_rate
from rounds import interleave
from table import ratio, speed

OFFERED = 200
MOST_P99 = 2.0
CONNECTIONS = 64
# Each is somebody else, whom nobody knows: a login that was guessed at often is refused without any work.
STRANGERS = 5_000


def _targets(bench):
    path = bench.state / "storm.targets"
    line = '{host} /api/v1/sign-in/password - {{"login":"stranger.{number}","password":"pelican-tangerine-{number}"}}\n'
    host = bench.chart.tenant.host
    path.write_text("".join(line.format(host=host, number=number) for number in range(STRANGERS)))
    return path


def run(bench):
    bench.say(f"reads while {OFFERED} people a second try to sign in")
    gateway = bench.gateway
    common = {
        "address": f"127.0.0.1:{gateway.port}",
        "authority": gateway.installation.authority,
        "connections": CONNECTIONS,
    }
    reads = bench.state / "storm-reads.targets"
    reads.touch(mode=0o600)
    reads.write_text(f"{bench.chart.tenant.host} {bench.chart.read_path} {bench.chart.token}\n")
    seconds = bench.seconds * (2 if bench.quick else 6)
    read = dict(common, targets=reads, rate=bench.rate, seconds=seconds, warm_up=1)
    logins = dict(common, targets=_targets(bench), rate=OFFERED, seconds=seconds + 1, warm_up=1, zipf=0)
    answers = {"refused": 0, "failed": 0}

    def in_the_storm():
        storm = Background(bench.programs.load, logins)
        sample = fixed_rate(bench.programs.load, read)
        report = storm.report()
        for name in answers:
            answers[name] += report[name]
        return sample

    rounds = interleave(
        {"storm": in_the_storm, "calm": lambda: fixed_rate(bench.programs.load, read)}, bench.rounds
    )
    bench.table.add(
        "sign-in",
        f"read p99 while {OFFERED}/s try to sign in by password / without, both at {bench.rate} reads/s (open loop)",
        ratio(rounds.ratio("storm", "calm", lambda sample: sample.p99), most=MOST_P99),
        f"<= {MOST_P99}",
        f"{speed(rounds, 'storm')}; of the sign-ins {answers['refused']} refused, {answers['failed']} without answer",
        speed(rounds, "calm"),
        rounds.note(),
    )
