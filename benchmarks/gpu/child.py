"""`python -m benchmarks.gpu.child`: one part of the GPU check in a process of its own.

Writes the part's result to the context's `noted` file. An exception ends it with exit code 1 and one line,
`<type>: <message>`, as the last line on standard error, after the traceback.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from importlib import import_module
from pathlib import Path

from benchmarks.gpu.context import Context, first_line


def main() -> None:
    """Run the part that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module")
    parser.add_argument("--part", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--deadline", type=float, required=True)
    given = vars(parser.parse_args())
    module, context = given.pop("module"), Context(**given)
    try:
        context.note(import_module(module).run(context))
    except Exception as error:  # noqa: BLE001 - the next part goes on, whatever this one met
        traceback.print_exc()
        print(first_line(error), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
