#!/usr/bin/python
"""Ansible module: hold installed packages at their version, and release those no longer listed."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: held_packages
short_description: Keep installed packages at their version
description:
  - Holds every installed package that matches a pattern. Releases its own holds that no longer match.
options:
  patterns:
    type: list
    elements: str
    default: []
    description: [Names; C(src:) precedes the name of a source package; C(*) is a wildcard.]
  record: {type: path, required: true, description: [File that records the holds.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
held: {type: list, elements: str, returned: always, description: [Newly held packages.]}
released: {type: list, elements: str, returned: always, description: [Released packages.]}
"""

# At boot and at night, the system's own updates hold dpkg's lock for minutes.
_LOCK_SECONDS = 600
_PAUSE_SECONDS = 5


def fitting(installed: dict[str, str], patterns: list[str]) -> set[str]:
    """Return the packages that match a pattern, by their name or by that of their source package."""

    def fits(name: str, pattern: str) -> bool:
        of_source = pattern.startswith("src:")
        return fnmatch.fnmatchcase(installed[name] if of_source else name, pattern.removeprefix("src:"))

    return {name for name in installed if any(fits(name, each) for each in patterns)}


def _mark(module: AnsibleModule, action: str, names: list[str]) -> None:
    """Hold or release packages; dpkg itself does not wait for its lock."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        code, output, errors = module.run_command(["apt-mark", action, *names])
        if code == 0:
            return
        if "lock" not in errors + output or time.monotonic() > deadline:
            module.fail_json(msg=f"apt-mark {action} {' '.join(names)}: {(errors or output).strip()}")
        time.sleep(_PAUSE_SECONDS)


def main() -> None:
    """Check, hold, release and record."""
    options: dict[str, Any] = {
        "patterns": {"type": "list", "elements": "str", "default": []},
        "record": {"type": "path", "required": True},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    record = Path(module.params["record"])

    def lines(*command: str) -> set[str]:
        return set(module.run_command([*command], check_rc=True)[1].split("\n")) - {""}

    there = lines("dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package} ${source:Package}\n")
    # ii: to be installed, and installed; hi: the same and held.
    installed = {line.split()[1]: line.split()[2] for line in there if line[1] == "i"}
    ours = set(json.loads(record.read_text(encoding="utf-8"))) if record.exists() else set()
    held = lines("apt-mark", "showhold")
    wanted = fitting(installed, module.params["patterns"])
    hold, release = sorted(wanted - held), sorted((ours - wanted) & held)
    noted = sorted((ours & wanted) | set(hold))
    if not module.check_mode:
        if noted:
            record.parent.mkdir(parents=True, exist_ok=True)
            record.write_text(json.dumps(noted), encoding="utf-8")
        for action, names in (("hold", hold), ("unhold", release)):
            if names:
                _mark(module, action, names)
        if not noted:
            record.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                record.parent.rmdir()
    module.exit_json(changed=bool(hold or release), held=hold, released=release)


if __name__ == "__main__":
    main()
