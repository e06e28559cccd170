"""A stack for a pull request, on this machine: brought up, kept up to date, and removed when it closes.

`make try PULL=12` brings up `pr-12` from a clone of this commit in a folder of its own; with another commit, `make up`
in that clone says what changed. `make untry PULL=12` removes it. In a workflow, GitHub's event says which of both.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap.cache import exclusive
from bootstrap.console import run, say
from cli import ROOT
from previews import PreviewError
from previews.git import git

if TYPE_CHECKING:
    from collections.abc import Mapping

LABEL = "try"
"""Pull requests with this label have a stack."""
_SCENARIO = "s3-local"
_DAYS, _DAY = 14, 86_400
_ON_A_RUNNER = "github-hosted"
# A workflow's command line has the target's own variables, which are not for another make.
_NOT_PASSED = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")


class Trials:
    """The stacks of pull requests on this machine, each in a clone of its own below `folder`."""

    def __init__(self, folder: Path, root: Path, scenario: str = _SCENARIO) -> None:
        self._folder, self._root, self._scenario = folder, root, scenario

    def up(self, number: int) -> str:
        """Bring up a pull request's stack, of `root`'s commit; return what `make up` says. Raises PreviewError."""
        with self._alone(number):
            place = self._place(number)
            self._take_commit(place, number)
            return _make(place, "up", f"STACK={_name(number)}", f"SCENARIO={self._scenario}")

    def down(self, number: int) -> bool:
        """Remove a pull request's stack; return whether there was one. Raises PreviewError if it cannot be."""
        with self._alone(number):
            place = self._place(number)
            if not place.exists():
                return False
            if (place / "Makefile").exists():
                _make(place, "down", f"STACK={_name(number)}")
            shutil.rmtree(place)
            return True

    def old(self) -> list[int]:
        """Those that nobody has brought up for two weeks, such as of pull requests that closed unseen."""
        since = time.time() - _DAYS * _DAY
        places = [each for each in self._folder.glob("*/") if each.name.isdigit()]
        return sorted(int(each.name) for each in places if each.stat().st_mtime < since)

    def _take_commit(self, place: Path, number: int) -> None:
        """Put `root`'s commit there. Where it has another stack file, what the former one made goes first."""
        template = place / "stacks" / f"Pulumi.{self._scenario}.yaml"
        before = template.read_bytes() if template.exists() else b""
        place.mkdir(parents=True, exist_ok=True)
        if not (place / ".git").exists():
            git(place, "init", "--quiet")
        git(place, "fetch", "--quiet", "--depth", "1", self._root.as_uri(), "HEAD")
        now = git(place, "show", f"FETCH_HEAD:{template.relative_to(place)}").encode()
        own = place / "stacks" / f"Pulumi.{_name(number)}.yaml"
        if own.exists() and before.strip() != now.strip():
            say(f"{template.name} has changed: {_name(number)} is made anew")
            _make(place, "down", f"STACK={_name(number)}")
            own.unlink()
        git(place, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        os.utime(place)

    def _place(self, number: int) -> Path:
        return self._folder / str(number)

    def _alone(self, number: int) -> Any:
        return exclusive(self._folder / f"{number}.lock", f"at the stack of pull request {number}")


def follow(trials: Trials, event: Mapping[str, Any], *, on_a_runner: bool) -> str:
    """Do what GitHub's event about a pull request asks for; return what was done, in Markdown. Raises PreviewError.

    On a runner that ends with its job, the stack comes up, answers, and goes.
    """
    for other in trials.old():
        say(f"nobody has brought up pull request {other} for {_DAYS} days")
        try:
            trials.down(other)
        except PreviewError as error:
            say(f"it stays: {error}")
    try:
        number = int(event["number"])
        labels = [str(each["name"]) for each in event["pull_request"]["labels"]]
    except (KeyError, TypeError, ValueError):
        raise PreviewError("the event is not of a pull request", remedy="run it on: pull_request") from None
    if event.get("action") == "closed" or LABEL not in labels:
        gone = trials.down(number)
        return f"`{_name(number)}` is removed" if gone else f"`{_name(number)}` is not there"
    said = trials.up(number)
    if on_a_runner:
        trials.down(number)
    end = ", answered, and is removed with its runner" if on_a_runner else ""
    return f"`{_name(number)}` came up{end}:\n\n```\n{said.strip()}\n```"


def _name(number: int) -> str:
    return f"pr-{number}"


def _make(place: Path, *arguments: str) -> str:
    """Run make there; return its results, and pass on what it logs. Raises PreviewError."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    done = subprocess.run(  # noqa: S603
        ["make", "--no-print-directory", *arguments],  # noqa: S607
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout, end="")
        again = f"push a correction, or run it there: make -C {place} {' '.join(arguments)}"
        raise PreviewError(f"`make {' '.join(arguments)}` failed", remedy=again)
    return done.stdout


def main() -> None:
    """`python -m previews.trial [up|down NUMBER]`; without arguments, what the workflow's event asks for."""
    folder = Path(os.environ.get("TRY_FOLDER") or Path.home() / ".local/state/model-deployment-scenarios/try")
    trials = Trials(folder.absolute(), ROOT)
    try:
        match sys.argv[1:]:
            case ["up", number] if number.isdigit():
                print(trials.up(int(number)), end="")
            case ["down", number] if number.isdigit():
                gone = trials.down(int(number))
                say(f"{_name(int(number))} is {'removed' if gone else 'not there: nothing to remove'}")
            case [] if event := os.environ.get("GITHUB_EVENT_PATH"):
                on_a_runner = os.environ.get("RUNNER_ENVIRONMENT") == _ON_A_RUNNER
                text = follow(trials, json.loads(Path(event).read_text()), on_a_runner=on_a_runner)
                with Path(os.environ.get("GITHUB_STEP_SUMMARY", os.devnull)).open("a") as summary:
                    summary.write(f"{text}\n")
                say(text)
            case _:
                sys.exit(
                    "previews.trial: name a pull request by its number: make try PULL=12, make untry PULL=12"
                )
    except (PreviewError, OSError, ValueError) as error:
        sys.exit(f"previews.trial: {error}")


if __name__ == "__main__":
    run(main)
