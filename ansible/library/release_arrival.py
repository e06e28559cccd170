#!/usr/bin/python
"""Ansible module: verify an unpacked release and import it into a host's store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils import model_command

DOCUMENTATION = r"""
module: release_arrival
short_description: Verify a release on arrival and move it into the store
description:
  - Nothing in the store is replaced. The release is moved first, by one rename, then the channel's entries.
options:
  runtime: {type: path, required: true, description: [The folder of the virtual environment.]}
  arriving: {type: path, required: true, description: [Folder of the unpacked release, laid out as a store.]}
  store: {type: path, required: true, description: [The folder with releases and channels.]}
  release: {type: str, required: true, description: [The expected release, C(name@sha256:...).]}
  verification: {type: path, required: true, description: [The public key that verifies it.]}
  channel: {type: str, default: "", description: [The channel whose entries are included, C(name/channel).]}
  reader: {type: str, default: "", description: [The group that may read it; empty for only the owner.]}
author: [model-deployment-scenarios]
"""
RETURN = r""" # """

_OPTIONS: dict[str, Any] = {
    "runtime": {"type": "path", "required": True},
    "arriving": {"type": "path", "required": True},
    "store": {"type": "path", "required": True},
    "release": {"type": "str", "required": True},
    "verification": {"type": "path", "required": True},
    "channel": {"type": "str", "default": ""},
    "reader": {"type": "str", "default": ""},
}


def readable(tree: Path, group: str) -> None:
    """Make a tree readable for a group and writable only for its owner."""
    for path in (tree, *tree.rglob("*")):
        shutil.chown(path, "root", group)
        mode = path.stat().st_mode
        path.chmod(0o750 if path.is_dir() or mode & 0o100 else 0o640)


def make_folder(folder: Path) -> None:
    """Create a folder readable for services, whatever the umask; the store above it keeps others out."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir()
        folder.chmod(0o755)


def take(arriving: Path, store: Path, folder: str) -> bool:
    """Move a folder into the store by one rename; return False if it already exists."""
    target = store / folder
    if target.is_dir():
        return False
    make_folder(target.parent)
    (arriving / folder).rename(target)
    return True


def take_entries(arriving: Path, store: Path, channel: str) -> bool:
    """Move the channel entries missing in the store, in order; return whether there were any."""
    target = store / "channels" / channel
    make_folder(target)
    entries = sorted((arriving / "channels" / channel).glob("*.json"))
    new = [entry for entry in entries if not (target / entry.name).exists()]
    for entry in new:
        entry.rename(target / entry.name)
    return bool(new)


def main() -> None:
    """Verify, move and return the result."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=False)
    options = module.params
    arriving, store = Path(options["arriving"]), Path(options["store"])
    folder = f"releases/{options['release'].replace('@sha256:', '/sha256-')}"
    command = ["release", "verify", str(arriving / folder), "--key", options["verification"]]
    try:
        model_command.run(module, options["runtime"], [*command, "--expect", options["release"]])
        if options["reader"]:
            readable(arriving / folder, options["reader"])
        changed = take(arriving, store, folder)
        changed |= bool(options["channel"]) and take_entries(arriving, store, options["channel"])
    except (model_command.CommandError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
