#!/usr/bin/python
"""Ansible module: end every process of this user that runs out of a folder."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.own_processes import Process, end, own_processes

DOCUMENTATION = r"""
module: processes_gone
short_description: End every process of this user that runs out of a folder
description:
  - Finds processes by a program, a module or a service definition inside the folder, never by a name.
  - The play itself is spared.
options:
  folder: {type: path, required: true, description: [The folder that they run out of.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
ended: {type: list, elements: int, returned: always, description: [Process numbers.]}
"""


def main() -> None:
    """Find, end, answer."""
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
    # A program in the folder, or Python started with one: an editor with a log file open is not ours to end.
    return process.command[0].startswith(inside) or process.environment.get(
        "SCENARIO_SERVICE", ""
    ).startswith(inside)


if __name__ == "__main__":
    main()
