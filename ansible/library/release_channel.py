#!/usr/bin/python
"""Ansible module: read the current release and history of a channel in a host's store; changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils import model_command

DOCUMENTATION = r"""
module: release_channel
short_description: Read a channel and verify its history
description:
  - Fails if an entry of the channel does not match its signature. In a store without a key, and so without a
    release, the channel is empty.
options:
  runtime: {type: path, required: true, description: [The folder of the virtual environment.]}
  store: {type: path, required: true, description: [The folder with releases and channels.]}
  name: {type: str, required: true, description: [The name of the releases.]}
  channel: {type: str, required: true, description: [The channel.]}
  verification: {type: path, required: true, description: [The public key that verifies entries.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
current: {type: str, returned: success, description: [The release that the channel names; empty if none.]}
entries: {type: list, elements: dict, returned: success, description: [The channel's history.]}
releases: {type: list, elements: str, returned: success, description: [The store's releases of that name.]}
key: {type: str, returned: success, description: [The public key, PEM; empty if none.]}
"""

_OPTIONS: dict[str, Any] = {
    "runtime": {"type": "path", "required": True},
    "store": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "channel": {"type": "str", "required": True},
    "verification": {"type": "path", "required": True},
}


def summary(listing: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of `release list` that roles use. Raises ValueError if a history is invalid."""
    channels = listing.get("channels") or []
    if problems := [each["problem"] for each in channels if each.get("problem")]:
        raise ValueError("; ".join(problems))
    channel = channels[0] if channels else {}
    return {
        "current": channel.get("release") or "",
        "entries": channel.get("history") or [],
        "releases": [each["release"] for each in listing.get("releases") or []],
    }


def main() -> None:
    """Read, verify and return the result."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    options = module.params
    key = Path(options["verification"])
    if not key.exists():
        module.exit_json(changed=False, current="", entries=[], releases=[], key="")
    which = ["--store", options["store"], "--name", options["name"], "--channel", options["channel"]]
    arguments = ["release", "list", *which, "--key", str(key)]
    try:
        found = summary(model_command.run(module, options["runtime"], arguments))
    except (model_command.CommandError, ValueError) as error:
        module.fail_json(msg=f"channel {options['channel']} of {options['name']}: {error}")
    module.exit_json(changed=False, key=key.read_text(encoding="ascii"), **found)


if __name__ == "__main__":
    main()
