#!/usr/bin/python
"""Ansible module: wait until a server is ready with its release, or is seen to fail again and again."""

from __future__ import annotations

import time
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

from ansible.module_utils.user_services import Service, ServiceError, service

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: server_ready
short_description: Wait until a server is ready with its release
description:
  - Asks on the host itself, so it sends no secret and takes any certificate, which is for clients' names.
  - Gives a server up that ended O(attempts) times; its last words say why.
options:
  url: {type: str, required: true, description: [Answers 200 when ready, with the header x-release.]}
  release: {type: str, required: true, description: [The release that it has to be ready with.]}
  manager:
    type: str
    required: true
    choices: [system, systemd, supervisor]
    description: [Who keeps the service alive.]
  definition: {type: path, required: true, description: [The definition of the service.]}
  seconds: {type: int, required: true, description: [How long it may take.]}
  attempts: {type: int, default: 3, description: [How often it may end and be started anew.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
release: {type: str, returned: always, description: [The release that it is ready with.]}
"""

_OPTIONS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "release": {"type": "str", "required": True},
    "manager": {"type": "str", "required": True, "choices": ["system", "systemd", "supervisor"]},
    "definition": {"type": "path", "required": True},
    "seconds": {"type": "int", "required": True},
    "attempts": {"type": "int", "default": 3},
}
_PAUSE_S = 0.5


def ask(url: str) -> tuple[str, str]:
    """Give the release that the server says it is ready with, or an empty text, and what it said instead."""
    try:
        with open_url(url, validate_certs=False, use_proxy=False, timeout=10) as answer:
            release = answer.headers.get("x-release", "")
            return release, f"it serves {release or 'no release'}"
    except urllib.error.HTTPError as error:
        return "", f"it answers {error.code}"
    except (OSError, ValueError) as error:
        return "", str(getattr(error, "reason", error))


def wait(
    ready: Callable[[], tuple[str, str]], subject: Service, release: str, *, seconds: float, attempts: int
) -> str:
    """Return an empty text when the server is ready with `release`, else why nobody should go on waiting.

    A server that cannot work ends in seconds, and its manager starts it again for ever: each start is seen
    by its process.
    """
    deadline = time.monotonic() + seconds
    seen: set[int] = set()
    while True:
        seen |= subject.processes()
        serves, said = ready()
        if serves == release:
            return ""
        if len(seen) > attempts:
            return f"it ended {attempts} times before it was ready"
        if time.monotonic() >= deadline:
            return f"not after {seconds:g} s: {said}"
        time.sleep(_PAUSE_S)


def main() -> None:
    """Wait, and answer or fail with the server's last words."""
    module = AnsibleModule(argument_spec=_OPTIONS, supports_check_mode=True)
    url, release = module.params["url"], module.params["release"]
    if module.check_mode:
        module.exit_json(changed=False, release="")
    definition = Path(module.params["definition"])
    subject = service(module.params["manager"], definition, "")
    limits = {name: module.params[name] for name in ("seconds", "attempts")}
    try:
        problem = wait(lambda: ask(url), subject, release, **limits)
        last = next((line for line in reversed(subject.log(20)) if line.strip()), "none") if problem else ""
    except (ServiceError, OSError) as error:
        module.fail_json(msg=f"cannot tell whether {url} is ready: {error}", release="")
    if problem:
        message = f"the server on {url} is not ready with {release}: {problem}; its last words: {last}"
        module.fail_json(msg=f"{message} (all: {subject.log_place})", release="")
    module.exit_json(changed=False, release=release)


if __name__ == "__main__":
    main()
