"""`make image`, `make mirror`: make the registry of a stack on AWS, and fill it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from bootstrap import ToolError
from bootstrap.console import run, say
from cli import ROOT, CliError
from cli.stack import POLICIES, Stack
from cli.stack_files import is_on_aws
from cli.state import prepare
from cli.virtualenv import VENV

if TYPE_CHECKING:
    from collections.abc import Mapping

_GIVEN = ("BASE", "EFA", "EFA_SOURCES")


def options(environment: Mapping[str, str]) -> list[str]:
    """Return the options of `python -m images` that `make image` was given as variables.

    Raises:
        CliError: EFA is neither yes nor no.

    """
    if (asked := environment.get("EFA", "")) not in ("", "yes", "no"):
        raise CliError(f"EFA={asked}: write EFA=yes or EFA=no, or nothing, for what the stack's nodes use")
    return [
        f"--{name.lower().replace('_', '-')}={environment[name]}" for name in _GIVEN if environment.get(name)
    ]


def fill(what: str, name: str) -> None:
    """Bring up the stack's registry alone, then build (`what`) the training image, or mirror the images of others.

    Raises CliError for a stack that is not on AWS.
    """
    asked = options(os.environ)
    ready = prepare(name)
    if not (ready.scenario.in_cloud and is_on_aws(name)):
        raise CliError(f"{name} is not a stack on AWS, so it has no registry; push the image to one of yours")
    stack = Stack(name=name, environment=ready.environment, in_cloud=True)
    stack.create()
    stack.recover()
    say(f"pulumi up: the image registry of {name} alone")
    stack.pulumi(
        "up", "--yes", "--skip-preview", "--suppress-outputs", "--target", "**ImageRegistry**", *POLICIES
    )
    command = [str(VENV / "bin" / "python"), "-m", "images", what, name, *asked]
    if subprocess.run(command, cwd=ROOT, env=stack.full_environment(), check=False).returncode:  # noqa: S603
        raise CliError("the registry is not filled; see above")


def main() -> None:
    """`python3 -m cli.image build|mirror STACK`."""
    try:
        fill(sys.argv[1], sys.argv[2])
    except ToolError as error:
        sys.exit(f"make {'image' if sys.argv[1] == 'build' else 'mirror'}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; run it again to resume")


if __name__ == "__main__":
    run(main)
