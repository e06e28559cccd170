"""A server that restarts while its socket is kept: nobody is turned away. A stand-in plays systemd's part."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest

from scenario_model.digests import tree_digest
from scenario_model.release.store import FolderStore
from scenario_model.serve import kept_socket
from scenario_model.signing.signature import sign_directory
from tests.model.serve.conftest import deploy
from tests.model.serve.running_server import RunningServer, write_serve_config
from tests.model.serve.service_manager import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path) as manager:
        yield manager


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Asked:
    """What two clients came to know: one keeps its connection, one opens a new one for each request."""

    answered: Counter[bool] = field(default_factory=Counter)
    """By whether the client keeps its connection."""
    releases: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)


@contextlib.contextmanager
def asking(server: RunningServer) -> Iterator[Asked]:
    """Ask without a pause worth the name, until the block ends."""
    over, asked = threading.Event(), Asked()

    def ask(*, keeps: bool) -> None:
        body = {"model": "assistant", "prompt": "One, two,", "max_tokens": 4, "ignore_eos": True}
        limits = httpx.Limits(max_keepalive_connections=1 if keeps else 0)
        headers = {"Authorization": f"Bearer {server.key}"}
        with httpx.Client(verify=server.trust, headers=headers, limits=limits, timeout=120) as http:
            while not over.wait(0.02):
                try:
                    answer = http.post(f"{server.url}/v1/completions", json=body).raise_for_status()
                    asked.answered[keeps] += 1
                    asked.releases[answer.headers["x-release"]] += 1
                except httpx.HTTPError as error:
                    asked.failed.append(repr(error))

    with ThreadPoolExecutor(2) as askers:
        running = [askers.submit(ask, keeps=keeps) for keeps in (True, False)]
        try:
            yield asked
        finally:
            over.set()
        for each in running:
            each.result()


@pytest.mark.slow
def test_a_restart_fails_no_request_of_clients_that_keep_connections_or_open_new_ones(
    deployment: Path, tmp_path: Path, manager: ServiceManager
) -> None:
    config = write_serve_config(deployment, tmp_path, port=free_port())
    with contextlib.ExitStack() as stack:
        server = RunningServer(deployment, config, manager=manager)
        stack.callback(server.kill)
        server.wait_until_ready()
        with asking(server) as asked:
            for _ in range(2):
                enough = min(asked.answered.values(), default=0) + 5
                while len(asked.answered) < 2 or min(asked.answered.values()) < enough:
                    time.sleep(0.05)
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(30) == 0
                server = RunningServer(deployment, config, manager=manager)
                stack.callback(server.kill)
                server.wait_until_ready()
    assert (asked.failed, min(asked.answered.values()) > 10) == ([], True), asked.answered


@pytest.mark.slow
def test_a_server_that_goes_on_to_another_release_fails_no_request_although_nobody_keeps_its_socket(
    certificates: Path, tiny_foundation: Path, tmp_path: Path
) -> None:
    deployment = deploy(tmp_path / "deployment", tiny_foundation, certificates)
    store, former = FolderStore(deployment / "store"), deployment / "draft" / "assistant"
    (child,) = store.children("releases/assistant")
    first = f"assistant@{child.replace('-', ':', 1)}"
    shutil.copytree(former, changed := tmp_path / "changed", ignore=shutil.ignore_patterns("release.sig"))
    manifest = json.loads((changed / "release.json").read_text())
    (changed / "release.json").write_text(json.dumps({**manifest, "again": True}))
    second = f"assistant@{tree_digest(changed)}"
    sign_directory(changed, deployment / "release-signing.pem")
    store.upload(second, changed)
    (follow := tmp_path / "follow").write_text(first)
    config = write_serve_config(deployment, tmp_path, port=free_port(), follow=str(follow))
    server = RunningServer(deployment, config)
    try:
        server.wait_until_ready()
        pid = server.process.pid
        with asking(server) as asked:
            server.wait_for(lambda: asked.releases[first] > 10)
            follow.write_text(second)
            server.wait_for(lambda: asked.releases[second] > 10)
            before = asked.releases[first]
            follow.write_text(first)
            server.wait_for(lambda: asked.releases[first] > before + 10)
        assert asked.failed == []
        assert len(asked.answered) == 2
        assert (server.process.poll(), server.process.pid) == (None, pid)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        with pytest.raises(httpx.ConnectError):
            server.get("/readyz")
    finally:
        server.kill()


@pytest.mark.slow
def test_a_request_that_waits_for_the_model_is_refused_in_time_if_the_server_is_stopped(
    deployment: Path, tmp_path: Path, manager: ServiceManager
) -> None:
    server = RunningServer(
        deployment, write_serve_config(deployment, tmp_path, port=free_port()), manager=manager
    )
    try:
        with ThreadPoolExecutor(1) as beside:
            asked = beside.submit(server.post, "/v1/completions", {"model": "assistant", "prompt": "x"})
            server.wait_for(lambda: server.get("/readyz").status_code == 503)
            server.process.send_signal(signal.SIGTERM)
            assert (asked.result(10).status_code, server.process.wait(5)) == (503, 0)
    finally:
        server.kill()


def ports_of(manager: ServiceManager, *ports: int) -> str:
    """What a service that listens on each of these ports, one start after another, prints."""
    said = ""
    for port in ports:
        script = (
            "import sys; from scenario_model.serve import kept_socket, listener;"
            "sock = listener.bind('127.0.0.1', int(sys.argv[1]));"
            "print(sock.fileno(), sock.getsockname()[1], kept_socket.keep(sock), kept_socket.handed_over())"
        )
        command = manager.command([sys.executable, "-c", script, str(port)])
        said += subprocess.run(
            command, pass_fds=manager.stored, capture_output=True, text=True, check=True
        ).stdout
    return said


def test_a_former_socket_is_taken_over_if_it_has_the_wanted_port_and_given_back_if_not(
    manager: ServiceManager,
) -> None:
    one, two = free_port(), free_port()
    said = ports_of(manager, one, one).splitlines()
    assert said[1] == f"3 {one} True []"
    said = ports_of(manager, two).splitlines()
    assert said[0].endswith(f" {two} True []")
    (kept,) = manager.stored
    with socket.socket(fileno=os.dup(kept)) as sock:
        assert sock.getsockname() == ("127.0.0.1", two)
    with socket.create_server(("127.0.0.1", one)):
        pass


def test_all_addresses_take_the_place_of_one(manager: ServiceManager) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as sock:
        manager.stored.append(os.dup(sock.fileno()))
    script = (
        f"from scenario_model.serve import listener;print(listener.bind('0.0.0.0', {port}).getsockname())"
    )
    done = subprocess.run(
        manager.command([sys.executable, "-c", script]),
        pass_fds=manager.stored,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"('0.0.0.0', {port})\n"


def test_without_a_service_manager_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        assert not kept_socket.keep(sock)
    assert kept_socket.handed_over() == []
