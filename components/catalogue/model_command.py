"""Runs a `scenario-model` command on this machine, whose secrets are files that exist for as long as it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PACKAGE = "model"
_SPEAKER = "scenario-model:"


def run(
    arguments: Callable[[Path], Sequence[str]], files: Mapping[str, str], *, accept: Sequence[int] = (0,)
) -> dict[str, Any]:
    """Return the JSON output of a command.

    Args:
        arguments: returns its arguments, given the folder with the files.
        files: contents by name; only this user may read them, and they are removed afterwards.
        accept: exit codes that are no failure.

    Raises:
        CloudError: the command failed; its own line says why.

    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            descriptor = os.open(Path(folder, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(content)
        command = [sys.executable, "-m", "scenario_model", *arguments(Path(folder)), "--json"]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd() / _PACKAGE)}
        done = subprocess.run(  # noqa: S603
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if done.returncode not in accept:
        raise CloudError(_reason(done.stderr))
    try:
        answer: dict[str, Any] = json.loads(done.stdout or "{}")
    except ValueError:
        raise CloudError(f"{_SPEAKER} no JSON output: {_reason(done.stderr)}") from None
    return answer


def _reason(error_output: str) -> str:
    """Return the line with the error; progress before it is left out."""
    lines = [line.strip() for line in error_output.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith((_SPEAKER, "Error:"))]
    return (named or lines or [f"{_SPEAKER} failed without a word"])[-1].removeprefix(_SPEAKER).strip()
