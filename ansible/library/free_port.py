#!/usr/bin/python
"""Ansible module: check that a TCP port is free, or held by the service that should hold it."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible.module_utils.own_processes import own_processes

DOCUMENTATION = r"""
module: free_port
short_description: Fail if another process listens on a port
description:
  - A port held by this deployment's own service counts as free; any other holder is named.
options:
  host: {type: str, required: true, description: [The address to listen on.]}
  port: {type: int, required: true, description: [The TCP port.]}
  setting: {type: str, default: serving.port, description: [The setting of the port, for the message.]}
  service: {type: path, required: true, description: [The definition of the service that may hold the port.]}
  user: {type: str, default: "", description: [The account that will listen; empty for that of the play.]}
author: [model-deployment-scenarios]
"""
RETURN = r""" # """

# While a service is restarted after a crash, systemd alone has the socket that it keeps for it.
_RESTART_SECONDS = 3.0
_PAUSE_SECONDS = 0.3
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp, see proc(5)


def first_unprivileged() -> int:
    """Return the first port on which others than root may listen, see ip(7)."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024


def reserved(port: int, user: str) -> bool:
    """Return whether an account that the play, as root, starts the service as may not listen on a port."""
    return user not in {"", "root"} and port < first_unprivileged()


def bindable(host: str, port: int) -> bool:
    """Return whether a server could listen there now; an address of another host raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen()  # with SO_REUSEADDR a bind may succeed where a listen fails
        except OSError as error:
            if error.errno == 98:  # EADDRINUSE
                return False
            raise
    return True


def listeners(port: int) -> set[str]:
    """Collect the socket inodes that listen on the port, on any address."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def holds(pid: int, inodes: set[str]) -> bool:
    """Return whether a process has one of the sockets open."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it exited meanwhile
        return False
    return any(_target(entry) in wanted for entry in entries)


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # closed meanwhile, like the descriptor that listed the folder
        return ""


def main() -> None:
    """Fail with the name of the holder, or pass."""
    options: dict[str, Any] = {
        "host": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "setting": {"type": "str", "default": "serving.port"},
        "service": {"type": "path", "required": True},
        "user": {"type": "str", "default": ""},
    }
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    host, port, setting, definition = (module.params[name] for name in ("host", "port", "setting", "service"))
    if reserved(port, module.params["user"]):
        module.fail_json(
            msg=f"port {port} is for root alone, which the service is not; set {setting} to "
            f"{first_unprivileged()} or above"
        )
    deadline = time.monotonic() + _RESTART_SECONDS
    while True:
        try:
            if bindable(host, port):
                module.exit_json(changed=False)
        except OSError as error:
            module.fail_json(
                msg=f"serving.host {host}, port {port}: cannot listen there: {error.strerror or error}"
            )
        holders = [process for process in own_processes() if holds(process.pid, listeners(port))]
        if any(process.environment.get("SCENARIO_SERVICE") == definition for process in holders):
            module.exit_json(changed=False)
        if time.monotonic() > deadline:
            break
        time.sleep(_PAUSE_SECONDS)
    who = ", ".join(f"pid {p.pid} ({Path(p.command[0]).name})" for p in holders) or "another user's process"
    module.fail_json(msg=f"port {port} on {host} is in use by {who}; stop it, or set {setting} to a free one")


if __name__ == "__main__":
    main()
