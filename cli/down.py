"""`make down`: remove everything that a stack deployed; the state folder keeps its history."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from bootstrap import ToolError
from bootstrap.cache import cache_folder
from bootstrap.console import run, say
from cli import ROOT, CliError
from cli.stack import Stack
from cli.state import BACKEND, STATE, is_ours, prepare
from cli.virtualenv import VENV


def down(name: str) -> None:
    """Destroy the stack, complete or partial, and what a killed run deployed here without recording it."""
    known = not is_ours(os.environ) or (BACKEND.is_dir() and Stack(name=name, environment={}).exists)
    if not known and not (STATE / name).exists():
        say(f"{name} is not up: nothing to remove")
        return
    ready = prepare(name)
    stack = Stack(name=name, environment=ready.environment, in_cloud=ready.scenario.in_cloud)
    if stack.exists:
        stack.recover()
        stack.pulumi("destroy", "--yes", "--skip-preview")
        stack.forget_salt()
    _reset_unrecorded(stack)
    shutil.rmtree(STATE / name, ignore_errors=True)
    history = f"{BACKEND.relative_to(ROOT)} (its history), " if is_ours(os.environ) else ""
    say(
        f"{name} is down. Kept: {history}{VENV.name}, {cache_folder()} (the engine); "
        "make clean removes those too."
    )


def _reset_unrecorded(stack: Stack) -> None:
    """Run the reset playbook if a run was killed before Pulumi recorded what it created."""
    root = STATE / stack.name / "premises"
    if not root.exists() or not any(root.iterdir()):
        return
    say("a killed run left things that Pulumi did not record; cleaning up with ansible/reset.yml")
    inventory = ROOT / "ansible" / "inventory" / "localhost.yml"
    done = subprocess.run(  # noqa: S603
        ["ansible-playbook", "-i", str(inventory), "reset.yml", "-e", f"scenario_root={root}"],  # noqa: S607
        cwd=ROOT / "ansible",
        env=stack.full_environment(),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise CliError(f"ansible/reset.yml could not clean up {root}; see its output above")


def main() -> None:
    """`python3 -m cli.down STACK`."""
    try:
        down(sys.argv[1])
    except ToolError as error:
        sys.exit(f"make down: {error}")
    except KeyboardInterrupt:
        sys.exit("make down: interrupted; run it again to resume")


if __name__ == "__main__":
    run(main)
