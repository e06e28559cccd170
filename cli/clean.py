"""`make clean`: remove what `make down` keeps."""

from __future__ import annotations

import shutil
import sys

from bootstrap.cache import cache_folder
from bootstrap.console import run, say
from cli import PROJECT, ROOT
from cli.state import BACKEND, STATE
from cli.virtualenv import VENV


def main() -> None:
    """Remove `.venv`, `.state` and the user's cache of this project, unless a stack is still up."""
    if any((STATE / "lab" / side).exists() for side in ("premises", "kubernetes", "aws")):
        sys.exit("make clean: the lab is still up; run make lab-down first")
    deployed = (
        sorted(path.name for path in STATE.iterdir() if (path / "premises").is_dir())
        if STATE.is_dir()
        else []
    )
    stacks = BACKEND / ".pulumi" / "stacks" / PROJECT
    deployed += [path.stem for path in stacks.glob("*.json") if '"urn"' in path.read_text(encoding="utf-8")]
    if deployed:
        sys.exit(f"make clean: {', '.join(sorted(set(deployed)))} is still up; run make down first")
    for folder in (VENV, STATE, cache_folder()):
        if folder.exists():
            say(f"removing {folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder}")
            shutil.rmtree(folder)


if __name__ == "__main__":
    run(main)
