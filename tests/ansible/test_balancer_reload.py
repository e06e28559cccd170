"""What a client that keeps its connection sees when the balancer, the real one, is told something new."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from bundle import packages
from scenario_model.serve import credentials
from tests.ansible.role_templates import template
from tests.ansible.test_balancer import told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt, which downloads haproxy"),
]


class Balancer:
    """haproxy as hosts without it get it, with the role's own settings."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connections: list[http.client.HTTPSConnection] = []
        packages.fetch(folder / "packages")
        for package in (folder / "packages").glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, folder / "haproxy"], check=True)
        credentials.ensure(folder, ["127.0.0.1"])
        (folder / "server.both").write_bytes(
            (folder / "server.pem").read_bytes() + (folder / "server.key").read_bytes()
        )
        shutil.copy(folder / "ca.pem", folder / "authorities.pem")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._write("first")
        (libraries,) = (folder / "haproxy/usr/lib").glob("*-linux-gnu")
        self._process = subprocess.Popen(
            [folder / "haproxy/usr/sbin/haproxy", "-W", "-db", "-f", folder / "haproxy.cfg"],
            env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
        )

    def _write(self, digest: str) -> None:
        now = told() | {"host": "127.0.0.1", "port": self._port, "certificate": f"{self._folder}/server.both"}
        settings = template(
            "balancer",
            "haproxy.cfg.j2",
            balancer_now=now,
            balancer_everywhere=False,
            balancer_digest=digest,
            balancer_directory=self._folder,
        )
        (self._folder / "haproxy.cfg").write_text(settings)

    def tell(self, digest: str) -> None:
        """Reload, as the service's unit does, and wait until the new worker answers."""
        self._write(digest)
        self._process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + 30
        while self.asked(self.connected())[0] != digest:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def connected(self) -> http.client.HTTPSConnection:
        trust = ssl.create_default_context(cafile=self._folder / "ca.pem")
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=10, context=trust)
        self._connections.append(connection)
        deadline = time.monotonic() + 30
        while True:
            try:
                connection.connect()
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                return connection

    def asked(self, connection: http.client.HTTPSConnection) -> tuple[str | None, str | None]:
        """Which configuration answers on a connection, and what is said about the connection."""
        connection.request("GET", "/configuration")
        answer = connection.getresponse()
        answer.read()
        return answer.getheader("x-configuration"), answer.getheader("connection")

    def stop(self) -> None:
        for each in self._connections:
            each.close()
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[Balancer]:
    running = Balancer(tmp_path)
    yield running
    running.stop()


def test_who_keeps_a_connection_over_a_reload_is_answered_and_told_to_connect_again(
    balancer: Balancer,
) -> None:
    kept = [balancer.connected() for _ in range(20)]
    assert {balancer.asked(each) for each in kept} == {("first", None)}
    balancer.tell("second")
    assert {balancer.asked(each) for each in kept} == {("first", "close")}
    assert balancer.asked(balancer.connected()) == ("second", None)
