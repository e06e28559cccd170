"""A listening socket that outlives the server: clients wait in it instead of being refused.

systemd's file descriptor store, see sd_notify(3) and sd_listen_fds(3); for a unit with FileDescriptorStoreMax
and NotifyAccess. Under other service managers nothing is kept, but a server that restarts by itself hands its own on.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from typing import Never

_NAME = "endpoint"
_FIRST_DESCRIPTOR = 3
_ANSWER_MS = 5000


def is_handed_over() -> bool:
    """Whether a former server left a socket for this process."""
    return os.environ.get("LISTEN_PID", "") == str(os.getpid())


def handed_over() -> list[socket.socket]:
    """Return the sockets that a former server left for this process. The second call returns none."""
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    sockets = []
    for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count)):
        with contextlib.suppress(OSError):
            os.set_inheritable(descriptor, False)
            sockets.append(socket.socket(fileno=descriptor))
    return sockets


def begin_anew(sock: socket.socket) -> Never:
    """Start this program again in this process, with its arguments and this socket."""
    os.dup2(sock.fileno(), _FIRST_DESCRIPTOR, inheritable=True)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 this very program


def keep(sock: socket.socket) -> bool:
    """Let systemd keep the socket for the next start of this service; False if it keeps none."""
    return _notify(f"FDSTORE=1\nFDNAME={_NAME}", sock.fileno())


def forget() -> None:
    """Let systemd close what it keeps, and wait until it has."""
    ours, theirs = os.pipe()
    try:
        if _notify(f"FDSTOREREMOVE=1\nFDNAME={_NAME}") and _notify("BARRIER=1", theirs):
            os.close(theirs)
            theirs = -1
            poll = select.poll()
            poll.register(ours, select.POLLHUP)
            poll.poll(_ANSWER_MS)
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _notify(message: str, *descriptors: int) -> bool:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.connect(address)
            socket.send_fds(manager, [message.encode()], [*descriptors])
        except OSError:
            return False
    return True
