#!/usr/bin/python
"""Ansible module: run one command of `scenario-model` on the host and read its JSON answer."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: scenario_model
short_description: Run one command of scenario-model
description:
  - Fails with the one line that the command ends with, never with a traceback or a dump of arguments.
  - In check mode, commands that alter something are left out and reported as changed.
options:
  runtime: {type: path, required: true, description: [The folder of the virtual environment.]}
  arguments: {type: list, elements: str, required: true, description: [The command without C(--json).]}
  user: {type: str, description: [Whom the command runs as; empty for the user of the task.]}
  input: {type: str, description: [What the command reads from standard input.]}
  alters: {type: bool, default: true, description: [Whether the command may change anything.]}
  accept: {type: list, elements: int, default: [0], description: [Exit codes that come with an answer.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
answer: {type: dict, returned: when the command ran, description: [The command's JSON object.]}
"""

_OPTIONS: dict[str, Any] = {
    "runtime": {"type": "path", "required": True},
    "arguments": {"type": "list", "elements": "str", "required": True},
    "user": {"type": "str"},
    "input": {"type": "str"},
    "alters": {"type": "bool", "default": True},
    "accept": {"type": "list", "elements": "int", "default": [0]},
}


def _reason(error_output: str) -> str:
    """Find the line that says what is wrong; progress lines before it are of no interest."""
    lines = [line for line in error_output.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("scenario-model:", "Error:"))]
    reason = (named or lines or ["it said nothing"])[-1].removeprefix("scenario-model:").strip()
    return reason.removeprefix("/dev/stdin: ")  # where we wrote the settings: no place that the user knows


def _as(user: str | None, *, has_input: bool) -> list[str]:
    """Give what a command begins with to run as another user."""
    if not user:
        return []
    # Nobody else can open a pipe of root's again, by the name /dev/stdin: cat gives them one of their own.
    own_pipe = ["sh", "-c", 'cat | "$@"', "sh"] if has_input else []
    return ["runuser", "-u", user, "--", "env", "HOME=/nonexistent", *own_pipe]


def main() -> None:
    """Run the command, parse the answer."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    options = module.params
    if options["alters"] and module.check_mode:
        module.exit_json(changed=True, skipped_in_check_mode=True)
    # Not bin/scenario-model: a script's first line has room for 127 characters, a path has not.
    python = f"{options['runtime']}/bin/python"
    user = _as(options["user"], has_input=bool(options["input"]))
    command = [*user, python, "-m", "scenario_model", *options["arguments"], "--json"]
    code, output, errors = module.run_command(command, data=options["input"])
    subject = f"scenario-model {' '.join(options['arguments'][:1])}"
    if code not in options["accept"]:
        module.fail_json(msg=f"{subject}: {_reason(errors)}", rc=code)
    try:
        answer = json.loads(output)
    except ValueError:
        module.fail_json(msg=f"{subject}: exit code {code} without a JSON answer: {_reason(errors)}", rc=code)
    module.exit_json(changed=bool(options["alters"] and answer.get("changed", True)), answer=answer)


if __name__ == "__main__":
    main()
