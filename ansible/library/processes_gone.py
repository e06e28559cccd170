#!/usr/bin/python
"""Ansible module: kill every process of this user that runs from a folder."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.own_processes import Process, end, own_processes

DOCUMENTATION = r"""
module: processes_gone
short_description: Kill every process of this user that runs from a folder
description:
  - Finds processes by a program, a module or a service definition inside the folder, never by name.
  - Does not kill the play itself.
options:
  folder: {type: path, required: true, description: [The folder that they run from.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
ended: {type: list, elements: int, returned: always, description: [Process ids.]}
"""


def main() -> None:
    """Find, kill and return the result."""
    module = AnsibleModule(
        argument_spec={"folder": {"type": "path", "required": True}}, supports_check_mode=True
    )
    inside: str = module.params["folder"] + "/"

    def find() -> list[Process]:
        return [p for p in own_processes() if _runs_out_of(p, inside)]

    found: list[Any] = [process.pid for process in find()]
    if found and not module.check_mode:
        end(find, timeout=20)
    module.exit_json(changed=bool(found), ended=found)


def _runs_out_of(process: Process, inside: str) -> bool:
    # A program in the folder, or Python started with one: an editor with an open log file must not be killed.
    return process.command[0].startswith(inside) or process.environment.get(
        "SCENARIO_SERVICE", ""
    ).startswith(inside)


if __name__ == "__main__":
    main()
