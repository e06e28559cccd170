"""One command of `scenario-model` on this host: run, and its JSON answer read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class CommandError(Exception):
    """Why a command has no answer, in one line."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def run(
    module: AnsibleModule,
    runtime: str,
    arguments: list[str],
    *,
    user: str | None = None,
    text: str | None = None,
    accept: tuple[int, ...] = (0,),
) -> dict[str, Any]:
    """Return the answer of a command, given without `--json`, that reads `text` from standard input.

    Raises CommandError with the one line that the command ends with, never a traceback or its arguments.
    """
    # Not bin/scenario-model: a script's first line has room for 127 characters, a path has not.
    python = f"{runtime}/bin/python"
    if not Path(python).exists():
        raise CommandError(f"there is no runtime in {runtime}; run runtime.yml or site.yml first")
    command = [*_as(user, has_input=bool(text)), python, "-m", "scenario_model", *arguments, "--json"]
    code, output, errors = module.run_command(command, data=text)
    subject = f"scenario-model {arguments[0]}"
    if code not in accept:
        raise CommandError(f"{subject}: {reason(errors)}", code)
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise CommandError(
            f"{subject}: exit code {code} without a JSON answer: {reason(errors)}", code
        ) from None
    return answer


def reason(error_output: str) -> str:
    """Find the line that says what is wrong; progress lines before it are of no interest."""
    lines = [line for line in error_output.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("scenario-model:", "Error:"))]
    said = (named or lines or ["it said nothing"])[-1].removeprefix("scenario-model:").strip()
    return said.removeprefix("/dev/stdin: ")  # where we wrote the settings: no place that the user knows


def _as(user: str | None, *, has_input: bool) -> list[str]:
    """Give what a command begins with to run as another user."""
    if not user:
        return []
    # Nobody else can open a pipe of root's again, by the name /dev/stdin: cat gives them one of their own.
    own_pipe = ["sh", "-c", 'cat | "$@"', "sh"] if has_input else []
    return ["runuser", "-u", user, "--", "env", "HOME=/nonexistent", *own_pipe]
