"""The end of a program that cannot go on: one error, with what, where and the remedy."""

from __future__ import annotations

import sys
import warnings
from typing import NoReturn

import pulumi

_ALREADY_SAID = 32  # the exit code by which Pulumi adds no error of its own


def end_program(message: str) -> NoReturn:
    """Show an error and end the program, also from a callback of an output: Pulumi answers a `RunError` there twice."""
    pulumi.log.error(message)
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")  # what was still to be sent
    sys.exit(_ALREADY_SAID)
