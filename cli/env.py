"""`make env`: the environment for plain `pulumi`, as lines for `eval`."""

from __future__ import annotations

import shlex
import sys

from bootstrap import ToolError
from bootstrap.console import run
from cli.stack import Stack
from cli.state import prepare


def main() -> None:
    """`python3 -m cli.env STACK`: print `export` lines; initialise the stack if needed."""
    try:
        name = sys.argv[1]
        variables = prepare(name).environment
        Stack(name=name, environment=variables).create()
    except ToolError as error:
        sys.exit(f"make env: {error}")
    if "PULUMI_CONFIG_PASSPHRASE_FILE" in variables:
        print("unset PULUMI_CONFIG_PASSPHRASE")  # it would override the file
    for variable, value in variables.items():
        print(f"export {variable}={shlex.quote(value)}")


if __name__ == "__main__":
    run(main)
