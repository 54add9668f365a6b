"""Builds the test build that B8 compares with, from a copy of the source with the edits of variants.toml.

Cargo names what it compiles after the package's path below the workspace, whatever the workspace's own path is. So the
copy lies one folder deeper in a workspace of its own: nothing of it can ever be taken for a part of the product, though
both are compiled into one target directory and share their dependencies there.
"""

import os
import subprocess
import tomllib
from pathlib import Path

PROGRAM = "carekeep-bench-variant"
INNER = "bench-variant"
# Of the root, what a workspace has only one of.
AT_THE_ROOT = ("Cargo.toml", "Cargo.lock", "rust-toolchain.toml")


def copy(root, place):
    """Brings the copy up to date; files that are the same keep their time, so that cargo builds little."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout
    wanted = {name: (root / name).read_bytes() for name in filter(None, listed.split("\0")) if (root / name).is_file()}
    for edit in tomllib.loads((root / "tests/bench/variants.toml").read_text())["edit"]:
        text = wanted[edit["file"]].decode()
        if text.count(edit["find"]) != 1:
            raise SystemExit(f"variants.toml: what it looks for in {edit['file']} is not there once: bring it up to date")
        wanted[edit["file"]] = text.replace(edit["find"], edit["put"]).encode()
    wanted = {name if name in AT_THE_ROOT else f"{INNER}/{name}": content for name, content in wanted.items()}
    wanted["Cargo.toml"] = _one_deeper(wanted["Cargo.toml"].decode()).encode()
    for old in [path for path in place.rglob("*") if path.is_file() and str(path.relative_to(place)) not in wanted]:
        old.unlink()
    for name, content in wanted.items():
        target = place / name
        if not target.is_file() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _one_deeper(manifest):
    """The workspace's manifest with its members and their paths one folder deeper."""
    manifest = manifest.replace('path = "crates/', f'path = "{INNER}/crates/')
    members = "\n".join(line for line in manifest.splitlines() if line.startswith("members = "))
    deeper = members.replace('["', f'["{INNER}/').replace(', "', f', "{INNER}/')
    if not members or f'"{INNER}/crates/*"' not in deeper:
        raise SystemExit("variants.py does not understand the members of Cargo.toml: bring it up to date")
    return manifest.replace(members, deeper)


def _claim(place, target):
    """Cargo compares times: what another clone's copy compiled into the same target directory must not pass for this one's."""
    owner = target / "carekeep-bench-variant-of"
    if not owner.is_file() or owner.read_text() != str(place):
        for path in place.rglob("*"):
            if path.is_file():
                os.utime(path)
        target.mkdir(parents=True, exist_ok=True)
        owner.write_text(str(place))


def build(root, place, target):
    """Gives the path of the program."""
    root, place, target = Path(root), Path(place).resolve(), Path(target)
    place.mkdir(parents=True, exist_ok=True)
    copy(root, place)
    _claim(place, target)
    # The same packages as for the product, so that the features of their dependencies are the same.
    command = ["cargo", "build", "--release", "-p", "carekeep", "-p", "carekeep-bench-tests", "--bin", PROGRAM]
    subprocess.run(command, cwd=place, check=True, env=dict(os.environ, CARGO_TARGET_DIR=str(target)))
    return target / "release" / PROGRAM
