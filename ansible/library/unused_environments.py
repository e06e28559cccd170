#!/usr/bin/python
"""Ansible module: remove environments and credentials that no service uses any more."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: unused_environments
short_description: Remove unused environments and supplied credentials
description:
  - Keeps what is named by a service's definition or settings, and O(keep). Running services keep using the
    environment they were started with, so run this after restarting them.
options:
  root: {type: path, required: true, description: [The deployment's folder.]}
  keep: {type: list, elements: path, required: true, description: [Environments to keep in any case.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
removed: {type: list, elements: str, returned: success, description: [The removed folders and files.]}
"""

_OPTIONS: dict[str, Any] = {
    "root": {"type": "path", "required": True},
    "keep": {"type": "list", "elements": "path", "required": True},
}
_ENVIRONMENT = re.compile("[0-9a-f]{64}")
_CREDENTIALS = ("inference/tls-*", "balancer/server-*.pem")


def unused(root: Path, keep: set[str]) -> list[Path]:
    """List the environments and supplied credentials that are neither kept nor named by a service."""
    settings = (root / "inference" / "serve.json", root / "balancer" / "haproxy.cfg")
    texts = [
        file.read_text(encoding="utf-8", errors="replace")
        for file in (*root.glob("services/*.conf"), *root.glob("services/*.service"), *settings)
        if file.is_file()
    ]
    runtimes = [*root.glob("runtime/*"), *root.glob("runtime/vllm/*")]
    found = [each for each in runtimes if _ENVIRONMENT.fullmatch(each.name) and not each.is_symlink()]
    found += [each for pattern in _CREDENTIALS for each in root.glob(pattern)]
    used = {str(each) for each in found if any(str(each) in text for text in texts)} | keep
    return sorted(each for each in found if str(each) not in used)


def main() -> None:
    """Find, remove and return the result."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    going = unused(Path(module.params["root"]), set(module.params["keep"]))
    for path in going if not module.check_mode else []:
        try:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            module.fail_json(msg=f"cannot remove {path}: {error.strerror}")
    module.exit_json(changed=bool(going), removed=[str(path) for path in going])


if __name__ == "__main__":
    main()
