"""Run a `scenario-model` command on this host and parse its JSON output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class CommandError(Exception):
    """A failed command; the message is one line."""

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
    """Return the output of a command, given without `--json`, that reads `text` from standard input.

    Raises CommandError with the command's final line, never a traceback or its arguments.
    """
    # Not bin/scenario-model: a shebang line is limited to 127 characters, a path is not.
    python = f"{runtime}/bin/python"
    if not Path(python).exists():
        raise CommandError(f"no runtime in {runtime}; run runtime.yml or site.yml first")
    command = [*_as(user, has_input=bool(text)), python, "-m", "scenario_model", *arguments, "--json"]
    # Services of another user read what it writes, whatever the host's umask; what is secret has a mode of its own.
    code, output, errors = module.run_command(command, data=text, umask=0o022)
    subject = f"scenario-model {arguments[0]}"
    if code not in accept:
        raise CommandError(f"{subject}: {reason(errors)}", code)
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise CommandError(
            f"{subject}: exit code {code} without JSON output: {reason(errors)}", code
        ) from None
    return answer


def reason(error_output: str) -> str:
    """Return the line with the error; progress lines before it are ignored."""
    lines = [line for line in error_output.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("scenario-model:", "Error:"))]
    said = (named or lines or ["no output"])[-1].removeprefix("scenario-model:").strip()
    return said.removeprefix("/dev/stdin: ")  # where we wrote the settings: meaningless to the user


def _as(user: str | None, *, has_input: bool) -> list[str]:
    """Return the prefix that runs a command as another user."""
    if not user:
        return []
    # Other users cannot reopen root's pipe through /dev/stdin: cat gives them their own.
    own_pipe = ["sh", "-c", 'cat | "$@"', "sh"] if has_input else []
    return ["runuser", "-u", user, "--", "env", "HOME=/nonexistent", *own_pipe]
