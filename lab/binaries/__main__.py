"""`python3 -m lab.binaries [GROUP ...]`: have these programs, or all; print a folder a line."""

from __future__ import annotations

import sys

from lab import LabError
from lab.binaries.find import programs
from lab.binaries.groups import GROUPS


def main() -> None:
    """Print the folders on standard output; all else goes to standard error."""
    try:
        for name in sys.argv[1:] or GROUPS:
            print(programs(name), flush=True)
    except LabError as error:
        sys.exit(f"lab: {error}")
    except KeyboardInterrupt:
        sys.exit("lab: interrupted; the next run goes on from here")


if __name__ == "__main__":
    main()
