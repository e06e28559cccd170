#!/usr/bin/python
"""Ansible module: keep a service running as defined, or stop it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.user_services import Service, ServiceError, let_linger, lingers, service

DOCUMENTATION = r"""
module: user_service
short_description: Keep a service running as defined
description:
  - Manages a systemd system or user unit, or a supervisor configuration of one program.
  - Enables lingering, so that a user's units outlive the user's last session.
  - Restarts if O(restart) is set or if the service runs with a fingerprint other than O(fingerprint),
    so that a play interrupted between a change and its restart is completed by the next one.
options:
  manager:
    type: str
    required: true
    choices: [system, systemd, supervisor]
    description: [The service manager.]
  definition: {type: path, required: true, description: [The unit file or the supervisor configuration.]}
  state: {type: str, required: true, choices: [running, stopped], description: [Whether it should run.]}
  python: {type: path, description: [The interpreter with supervisor, for O(state=running).]}
  restart: {type: bool, default: false, description: [Restart it in any case.]}
  reload:
    type: bool
    default: false
    description: [Unless it is restarted, let it load its configuration again, by the signal SIGUSR2.]
  fingerprint: {type: str, description: [Expected digest of the inputs that the service was started with.]}
  stop_seconds: {type: int, default: 20, description: [Timeout for stopping the service.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
running: {type: bool, returned: always, description: [Whether the service ran before this task.]}
log: {type: list, elements: str, returned: always, description: [The last lines of the service's log.]}
"""

_OPTIONS: dict[str, Any] = {
    "manager": {"type": "str", "required": True, "choices": ["system", "systemd", "supervisor"]},
    "definition": {"type": "path", "required": True},
    "state": {"type": "str", "required": True, "choices": ["running", "stopped"]},
    "python": {"type": "path"},
    "restart": {"type": "bool", "default": False},
    "reload": {"type": "bool", "default": False},
    "fingerprint": {"type": "str"},
    "stop_seconds": {"type": "int", "default": 20},
}


def _converge(wanted: Service, options: dict[str, Any], *, dry: bool) -> dict[str, Any]:
    running = wanted.running()
    if options["state"] == "running":
        stale = options["fingerprint"] is not None and wanted.fingerprint() != options["fingerprint"]
        # Without lingering, a user's services stop with the last session, and none starts at boot.
        brief = options["manager"] == "systemd" and not lingers()
        if brief and not dry:
            let_linger()
        anew = not running or options["restart"] or stale
        if anew and not dry:
            wanted.restart(options["stop_seconds"])
        elif options["reload"] and not dry:
            for process in wanted.processes():
                os.kill(process, signal.SIGUSR2)
        changed = anew or options["reload"] or brief
    else:
        changed = running if dry else wanted.stop(options["stop_seconds"])
    return {"changed": changed, "running": running, "log": wanted.log(20)}


def main() -> None:
    """Read the options, converge and return the result."""
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
