#!/usr/bin/python
"""Ansible module: wait until a server is ready with its release, or fails repeatedly."""

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
  - Queries locally, so it sends no secret and accepts any certificate, which is for clients' names.
  - Gives up if the server exited O(attempts) times, and reports its last log line.
options:
  url: {type: str, required: true, description: [Answers 200 when ready, with the header x-release.]}
  release: {type: str, description: [The release to wait for.]}
  follow: {type: path, description: [Or the file that names it, which may name another one meanwhile.]}
  manager:
    type: str
    required: true
    choices: [system, systemd, supervisor]
    description: [The service manager.]
  definition: {type: path, required: true, description: [The definition of the service.]}
  seconds: {type: int, required: true, description: [The timeout.]}
  attempts: {type: int, default: 3, description: [How often it may exit and be restarted.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
release: {type: str, returned: always, description: [The release that it is ready with.]}
"""

_OPTIONS: dict[str, Any] = {
    "url": {"type": "str", "required": True},
    "release": {"type": "str"},
    "follow": {"type": "path"},
    "manager": {"type": "str", "required": True, "choices": ["system", "systemd", "supervisor"]},
    "definition": {"type": "path", "required": True},
    "seconds": {"type": "int", "required": True},
    "attempts": {"type": "int", "default": 3},
}
_PAUSE_S = 0.5


def ask(url: str) -> tuple[str, str]:
    """Return the release that the server is ready with, or an empty string, and its actual response."""
    try:
        with open_url(url, validate_certs=False, use_proxy=False, timeout=10) as answer:
            release = answer.headers.get("x-release", "")
            return release, f"it serves {release or 'no release'}"
    except urllib.error.HTTPError as error:
        return "", f"it answers {error.code}"
    except (OSError, ValueError) as error:
        return "", str(getattr(error, "reason", error))


def asking(url: str, follow: str | None, wanted: str) -> Callable[[], tuple[str, str]]:
    """Return the question for `wait`; a server with the release that the file names then has what is wanted."""

    def followed() -> tuple[str, str]:
        release, said = ask(url)
        return wanted if release and release == named(str(follow)) else "", said

    return followed if follow else lambda: ask(url)


def named(follow: str) -> str:
    """Return the release that a file names; empty if there is none."""
    try:
        return Path(follow).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def wait(
    ready: Callable[[], tuple[str, str]], subject: Service, release: str, *, seconds: float, attempts: int
) -> str:
    """Return an empty string once the server is ready with `release`, or the reason to give up.

    A broken server exits within seconds and is restarted by its manager forever: each start is detected
    by its new process.
    """
    deadline = time.monotonic() + seconds
    seen: set[int] = set()
    while True:
        seen |= subject.processes()
        serves, said = ready()
        if serves == release:
            return ""
        if len(seen) > attempts:
            return f"it exited {attempts} times before it was ready"
        if time.monotonic() >= deadline:
            return f"timed out after {seconds:g} s: {said}"
        time.sleep(_PAUSE_S)


def main() -> None:
    """Wait, and return or fail with the server's last log line."""
    module = AnsibleModule(
        argument_spec=_OPTIONS,
        supports_check_mode=True,
        mutually_exclusive=[("release", "follow")],
        required_one_of=[("release", "follow")],
    )
    url, follow = module.params["url"], module.params["follow"]
    release = module.params["release"] or f"the release that {follow} names"
    if module.check_mode:
        module.exit_json(changed=False, release="")
    definition = Path(module.params["definition"])
    subject = service(module.params["manager"], definition, "")
    limits = {name: module.params[name] for name in ("seconds", "attempts")}
    try:
        problem = wait(asking(url, follow, release), subject, release, **limits)
        last = next((line for line in reversed(subject.log(20)) if line.strip()), "none") if problem else ""
    except (ServiceError, OSError) as error:
        module.fail_json(msg=f"cannot determine whether {url} is ready: {error}", release="")
    if problem:
        message = f"the server on {url} is not ready with {release}: {problem}; last log line: {last}"
        module.fail_json(msg=f"{message} (full log: {subject.log_place})", release="")
    module.exit_json(changed=False, release=named(follow) if follow else release)


if __name__ == "__main__":
    main()
