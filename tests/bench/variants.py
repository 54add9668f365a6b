"""Builds the test build that B8 compares with, from a copy of the source with the edits of variants.toml."""

import shutil
import subprocess
import tomllib
from pathlib import Path

PROGRAM = "carekeep-bench-variant"


def copy(root, place):
    """Brings a copy of the source up to date; files that are the same keep their time, so that cargo builds little."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout
    wanted = {}
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            wanted[name] = (root / name).read_bytes()
    for edit in tomllib.loads((root / "tests/bench/variants.toml").read_text())["edit"]:
        text = wanted[edit["file"]].decode()
        if text.count(edit["find"]) != 1:
            raise SystemExit(f"variants.toml: what it looks for in {edit['file']} is not there once: bring it up to date")
        wanted[edit["file"]] = text.replace(edit["find"], edit["put"]).encode()
    for old in [path for path in place.rglob("*") if path.is_file() and str(path.relative_to(place)) not in wanted]:
        old.unlink()
    for name, content in wanted.items():
        target = place / name
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def build(root, place, target):
    """Gives the path of the program."""
    root, place = Path(root), Path(place)
    if not (place / "tests/bench/variants.toml").is_file():
        shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    copy(root, place)
    # The same packages as for the product, so that both are built on the same dependencies.
    command = ["cargo", "build", "--release", "-p", "carekeep", "-p", "carekeep-bench-tests", "--bin", PROGRAM]
    subprocess.run(command, cwd=place, check=True)
    return Path(target) / "release" / PROGRAM
