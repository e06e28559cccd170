#!/usr/bin/python
"""Ansible module: run a `scenario-model` command on the host and parse its JSON output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils import model_command

DOCUMENTATION = r"""
module: scenario_model
short_description: Run a scenario-model command
description:
  - Fails with the command's final line, never with a traceback or a dump of arguments.
  - In check mode, commands that alter something are skipped and reported as changed.
options:
  runtime: {type: path, required: true, description: [The folder of the virtual environment.]}
  arguments: {type: list, elements: str, required: true, description: [The command without C(--json).]}
  user: {type: str, description: [User that the command runs as; empty for the user of the task.]}
  input: {type: str, description: [Standard input of the command.]}
  alters: {type: bool, default: true, description: [Whether the command may change anything.]}
  accept: {type: list, elements: int, default: [0], description: [Exit codes with JSON output.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
runtime: {type: str, returned: when the command ran, description: [O(runtime) with links resolved.]}
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


def main() -> None:
    """Run the command and return its output."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    options = module.params
    if options["alters"] and module.check_mode:
        module.exit_json(changed=True, skipped_in_check_mode=True)
    try:
        answer = model_command.run(
            module,
            options["runtime"],
            options["arguments"],
            user=options["user"],
            text=options["input"],
            accept=tuple(options["accept"]),
        )
    except model_command.CommandError as error:
        module.fail_json(msg=str(error), rc=error.code)
    runtime = str(Path(options["runtime"]).resolve())
    module.exit_json(
        changed=bool(options["alters"] and answer.get("changed", True)), answer=answer, runtime=runtime
    )


if __name__ == "__main__":
    main()
