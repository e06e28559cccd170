"""`eval "$(python3 -m lab.aws.env)"`: shell variables that make AWS tools and Pulumi use the lab."""

from __future__ import annotations

import os
import shlex
import sys

from bootstrap.console import run
from lab import LabError, state_folder
from lab.aws import lifecycle, plugin


def variables() -> dict[str, str]:
    """Return the variables; PATH starts with the stand-in if the real plugin is not installed.

    Raises LabError if the lab is not up.
    """
    api = lifecycle.running(state_folder())
    if api is None:
        raise LabError("the lab is not up", remedy="make lab")
    programs = plugin.stand_in(state_folder())
    path = os.environ.get("PATH", os.defpath)
    # After .venv/bin, if that is first: the Python there runs the stand-in.
    return api.environment | ({"PATH": f"{path}{os.pathsep}{programs}"} if programs else {})


def main() -> None:
    """Print them for a shell."""
    try:
        for name, value in variables().items():
            print(f"export {name}={shlex.quote(value)}")
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    run(main)
