"""`python -m publish --to DIR [--tag vX.Y.Z]`: wheel, source distribution, collection, SHA256SUMS, notes.md.

A tag must match the version, and the changelog must have a section for it. Needs the `.venv` of `make check`.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bootstrap.console import run
from publish import ROOT, PublishError, check_tag, collection, notes, version

_BIN = Path(sys.executable).parent


def build_package(into: Path) -> None:
    """Build wheel and source distribution with the locked build backend, from a copy of the sources."""
    with tempfile.TemporaryDirectory() as aside:
        unbuilt = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
        source = shutil.copytree(ROOT / "model", Path(aside) / "model", ignore=unbuilt)
        options = ["--quiet", "--offline", "--no-build-isolation", "--python", sys.executable]
        _build([str(_BIN / "uv"), "build", *options, "--out-dir", str(into), str(source)])
        (into / ".gitignore").unlink(missing_ok=True)  # uv's own


def build_collection(into: Path) -> Path:
    """Build the collection's archive and return its path."""
    with tempfile.TemporaryDirectory() as aside:
        tree = Path(aside) / "collection"
        collection.stage(tree, version())
        _build([str(_BIN / "ansible-galaxy"), "collection", "build", str(tree), "--output-path", str(into)])
    return into / f"{collection.NAMESPACE}-{collection.NAME}-{version()}.tar.gz"


def checksums(folder: Path) -> str:
    """Return one line per file, in the format of `sha256sum --check`."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def _build(command: list[str]) -> None:
    """Run a builder; its output is shown only if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise PublishError(f"`{Path(command[0]).name} {command[1]}` failed: {output}")


def main() -> None:
    """Build everything into an empty folder."""
    parser = argparse.ArgumentParser(prog="python -m publish", description=__doc__)
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="output folder; must not exist yet"
    )
    parser.add_argument("--tag", help="the tag to publish")
    wanted = parser.parse_args()
    try:
        if wanted.to.exists():
            raise PublishError(f"{wanted.to} exists; remove it, or name another folder")
        if wanted.tag is not None:
            check_tag(wanted.tag)
        changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        text = notes(changelog, "Unreleased" if wanted.tag is None else version())
        wanted.to.mkdir(parents=True)
        build_package(wanted.to)
        build_collection(wanted.to)
        (wanted.to / "SHA256SUMS").write_text(checksums(wanted.to), encoding="ascii")
        (wanted.to / "notes.md").write_text(text, encoding="utf-8")
    except PublishError as error:
        sys.exit(f"publish: {error}")


if __name__ == "__main__":
    run(main)
