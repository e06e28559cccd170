#!/usr/bin/python
"""Ansible module: keep a service running as defined, or stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.user_services import Service, ServiceError, let_linger, lingers, service

DOCUMENTATION = r"""
module: user_service
short_description: Keep a service running as defined
description:
  - Works on a systemd unit, the system's or a user's, or on a supervisor configuration of one program.
  - Lets a user's units outlive the user's last session.
  - Restarts when O(restart) says so or when the service runs with another fingerprint than O(fingerprint),
    so that a play that was cut off between a change and its restart is completed by the next one.
options:
  manager:
    type: str
    required: true
    choices: [system, systemd, supervisor]
    description: [Who keeps it alive.]
  definition: {type: path, required: true, description: [The unit file or the supervisor configuration.]}
  state: {type: str, required: true, choices: [running, stopped], description: [Whether it is to run.]}
  python: {type: path, description: [The interpreter that has supervisor, for O(state=running).]}
  restart: {type: bool, default: false, description: [Restart it in any case.]}
  fingerprint: {type: str, description: [What the service should have been started with.]}
  stop_seconds: {type: int, default: 20, description: [How long the service may take to end.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
running: {type: bool, returned: always, description: [Whether the service ran before this task.]}
log: {type: list, elements: str, returned: always, description: [The last lines that the service wrote.]}
"""

_OPTIONS: dict[str, Any] = {
    "manager": {"type": "str", "required": True, "choices": ["system", "systemd", "supervisor"]},
    "definition": {"type": "path", "required": True},
    "state": {"type": "str", "required": True, "choices": ["running", "stopped"]},
    "python": {"type": "path"},
    "restart": {"type": "bool", "default": False},
    "fingerprint": {"type": "str"},
    "stop_seconds": {"type": "int", "default": 20},
}


def _converge(wanted: Service, options: dict[str, Any], *, dry: bool) -> dict[str, Any]:
    running = wanted.running()
    if options["state"] == "running":
        stale = options["fingerprint"] is not None and wanted.fingerprint() != options["fingerprint"]
        # Without lingering, a user's services end with the last session, and none starts at boot.
        brief = options["manager"] == "systemd" and not lingers()
        if brief and not dry:
            let_linger()
        changed = not running or options["restart"] or stale
        if changed and not dry:
            wanted.stop(options["stop_seconds"])
            wanted.start()
        changed = changed or brief
    else:
        changed = running if dry else wanted.stop(options["stop_seconds"])
    return {"changed": changed, "running": running, "log": wanted.log(20)}


def main() -> None:
    """Read the options, converge, answer."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    options = module.params
    try:
        subject = service(options["manager"], Path(options["definition"]), options["python"] or "")
        result = _converge(subject, options, dry=module.check_mode)
    except (ServiceError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
