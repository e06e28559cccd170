"""A stand-in for systemd's file descriptor store, as sd_notify(3) describes it."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class ServiceManager:
    """Keeps sockets for services that start one after another."""

    def __init__(self, folder: Path) -> None:
        self.stored: list[int] = []
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"over", self.address)
        self._reader.join()
        self._socket.close()
        for descriptor in self.stored:
            os.close(descriptor)

    def _read(self) -> None:
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 4)
            if message == b"over":
                return
            text = message.decode()
            if text.startswith("FDSTORE=1"):
                self.stored += descriptors
                continue
            for descriptor in descriptors:
                os.close(descriptor)
            if text.startswith("FDSTOREREMOVE=1"):
                while self.stored:
                    os.close(self.stored.pop())

    def command(self, command: list[str]) -> list[str]:
        """The command as this manager starts it; the process inherits `stored`."""
        handed = "".join(
            f"exec {3 + place}<&{number} {number}<&-; " for place, number in enumerate(self.stored)
        )
        variables = f'NOTIFY_SOCKET="{self.address}"'
        if self.stored:
            variables += f" LISTEN_PID=$$ LISTEN_FDS={len(self.stored)} LISTEN_FDNAMES=endpoint"
        return ["/bin/bash", "-c", f'{handed}export {variables}; exec "$@"', "bash", *command]
