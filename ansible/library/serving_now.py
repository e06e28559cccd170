#!/usr/bin/python
"""Ansible module: read what a host currently serves and how, for a rollback; changes nothing."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = r"""
module: serving_now
short_description: Query a server's release, and read its settings
description:
  - Queries locally, so it sends no secret and accepts any certificate, which is for clients' names.
options:
  url: {type: str, required: true, description: [Answers 200 when ready, with the header x-release.]}
  files: {type: list, elements: path, required: true, description: [Files to read if it is ready.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
ready: {type: bool, returned: success, description: [Whether it is ready.]}
unasked:
  type: str
  returned: success
  description: [Why it could not be asked; empty if it answered, or if nothing listens.]
release: {type: str, returned: success, description: [The release that it names; empty without a response.]}
files: {type: list, elements: str, returned: success, description: [Their contents; none if one is missing.]}
"""

_OPTIONS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "path", "required": True},
}


def ask(url: str) -> tuple[bool, str, str]:
    """Return whether the server is ready, which release it names, and why it could not be asked."""
    try:
        with open_url(url, validate_certs=False, use_proxy=False, timeout=10) as answer:
            return True, str(answer.headers.get("x-release", "")), ""
    except urllib.error.HTTPError as error:
        return False, str(error.headers.get("x-release", "")), ""
    except (OSError, ValueError) as error:
        refused = isinstance(getattr(error, "reason", error), ConnectionRefusedError)
        return False, "", "" if refused else str(error)


def contents(files: list[str]) -> list[str]:
    """Read all of the files or none: a partial set is useless for a rollback."""
    try:
        return [Path(file).read_text(encoding="utf-8") for file in files]
    except (OSError, UnicodeDecodeError):
        return []


def main() -> None:
    """Query, read and return the result."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    ready, release, unasked = ask(module.params["url"])
    files = contents(module.params["files"]) if ready else []
    module.exit_json(changed=False, ready=ready, release=release, unasked=unasked, files=files)


if __name__ == "__main__":
    main()
