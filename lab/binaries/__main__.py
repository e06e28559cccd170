"""`python3 -m lab.binaries [GROUP ...]`: provide these programs, or all that the lab needs; print one folder per line.

`--for-tests` builds all, but nothing if the tests that use them cannot run: a build exceeds a test's time
limit.
"""

from __future__ import annotations

import sys

from bootstrap.console import run, say
from lab import LabError
from lab.binaries.find import programs
from lab.binaries.groups import GROUPS
from lab.machine import lacking


def main() -> None:
    """Print the folders on standard output; all else goes to standard error."""
    asked = sys.argv[1:]
    if asked == ["--for-tests"]:
        if reason := lacking():
            say(f"lab: not building its programs: {reason}")
            return
        asked = []
    try:
        for name in asked or [name for name, group in GROUPS.items() if not group.asked_for]:
            print(programs(name), flush=True)
    except LabError as error:
        sys.exit(f"lab: {error}")
    except KeyboardInterrupt:
        sys.exit("lab: interrupted; the next run resumes from here")


if __name__ == "__main__":
    run(main)
