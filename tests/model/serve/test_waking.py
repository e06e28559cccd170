"""A site whose hosted endpoint sleeps: real servers, the catalogue among them; the test is the autoscaler."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from scenario_model.exchange.audit import AuditLog
from tests.model.serve.conftest import deploy
from tests.model.serve.running_server import RunningServer, write_serve_config
from tests.model.serve.test_routing import ENGINE, MAY_LEAVE
from tests.model.serve.test_serve_load import client, text_of, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.model.serve.running_server import StartServer

pytestmark = [pytest.mark.slow, pytest.mark.anyio]


class Catalogue:
    """The catalogue's web server as a cluster runs it. `keys`: who may have the endpoint started."""

    def __init__(self, folder: Path, tls: Path, keys: Path) -> None:
        (folder / "store").mkdir()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "scenario_model", "catalogue", "serve"),
                *("--store", str(folder / "store"), "--port", "0", "--metrics-port", "0"),
                *("--certificate", str(tls / "server.pem"), "--private-key", str(tls / "server.key")),
                *("--sites-key", str(folder / "sites.key"), "--wake-keys", str(keys)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        told = json.loads(self._process.stdout.readline())
        self.url = f"https://localhost:{told['port']}/v1/wake"
        self._metrics = f"http://127.0.0.1:{told['metrics_port']}/metrics"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.terminate()

    @property
    def wanted(self) -> bool:
        """Whether the autoscaler is to start the endpoint, as KEDA reads it."""
        lines = httpx.get(self._metrics).text.splitlines()
        (value,) = [line.split()[1] for line in lines if line.startswith("catalogue_endpoint_wanted ")]
        return float(value) == 1


@pytest.fixture
def catalogue(tmp_path: Path, deployment: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path, deployment / "tls", deployment / "tls" / "api_keys.json") as made:
        yield made


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory, tiny_foundation: Path, certificates: Path) -> Path:
    """The deployment of a model that only the cloud has."""
    return deploy(tmp_path_factory.mktemp("larger"), tiny_foundation, certificates, "larger")


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def route(deployment: Path, audit: Path, port: int, wake: dict[str, Any]) -> dict[str, Any]:
    return {
        "url": f"https://localhost:{port}/v1",
        "api_key": str(deployment / "tls" / "api_key"),
        "authority": str(deployment / "tls" / "ca.pem"),
        "audit": str(audit),
        "spill_at": 1,
        "wake": wake,
    }


@contextlib.contextmanager
def started(deployment: Path, folder: Path, port: int) -> Iterator[None]:
    folder.mkdir()
    server = RunningServer(deployment, write_serve_config(deployment, folder, name="larger", port=port))
    try:
        server.wait_until_ready()
        yield
    finally:
        server.kill()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.1)
    pytest.fail("it did not happen within 30 s")


async def test_requests_that_only_the_endpoint_can_answer_are_held_until_it_is_awake(
    start_server: StartServer,
    deployment: Path,
    larger: Path,
    catalogue: Catalogue,
    unused_port: int,
    tmp_path: Path,
) -> None:
    audit = tmp_path / "audit"
    wake = {"url": catalogue.url, "seconds": 60}
    assert not catalogue.wanted
    with start_server(engine=ENGINE, route=route(deployment, audit, unused_port, wake)) as site:
        async with client(site) as http:

            async def ask(number: int) -> httpx.Response:
                body = wanted(f"One {number}", model="larger", stream=number % 2 == 0)
                return await http.post("/v1/completions", json=body, headers=MAY_LEAVE)

            held = [asyncio.create_task(ask(number)) for number in range(8)]
            await until(lambda: catalogue.wanted)
            # What the site has itself, it answers meanwhile, overloaded or not.
            mine = [http.post("/v1/completions", json=wanted("Two"), headers=MAY_LEAVE) for _ in range(8)]
            told = await asyncio.gather(*mine)
            assert {each.headers.get("x-computed-at", each.text) for each in told} == {"site"}
            assert not any(task.done() for task in held)
            with started(larger, tmp_path / "cloud", unused_port):
                answers = await asyncio.gather(*held)
                assert (await ask(1)).headers["x-computed-at"] == "cloud"
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-computed-at"] for answer in answers} == {"cloud"}
    assert all(text_of(answer.text) for answer in answers[::2])
    wishes = [each for each in AuditLog(audit).read() if each.kind == "wake"]
    assert {(each.direction, each.bytes) for each in wishes} == {("up", 0)}


async def test_a_client_that_leaves_and_a_text_that_may_not_leave_are_not_held(
    start_server: StartServer, deployment: Path, catalogue: Catalogue, unused_port: int, tmp_path: Path
) -> None:
    audit = tmp_path / "audit"
    wake = {"url": catalogue.url, "seconds": 60}
    with start_server(engine=ENGINE, route=route(deployment, audit, unused_port, wake)) as site:
        async with client(site) as http:
            local = await http.post("/v1/completions", json=wanted("x", model="larger"))
            assert local.status_code == 404
            assert not audit.exists()
            asked = http.post("/v1/completions", json=wanted("x", model="larger"), headers=MAY_LEAVE)
            leaving = asyncio.create_task(asked)
            await until(lambda: catalogue.wanted)
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving
            site.wait_for(lambda: [e for e in site.events() if e.get("error") == "client_disconnected"])


async def test_an_endpoint_that_does_not_start_in_time_is_said_to_be_away(
    start_server: StartServer, deployment: Path, catalogue: Catalogue, unused_port: int, tmp_path: Path
) -> None:
    wake = {"url": catalogue.url, "seconds": 2}
    with start_server(engine=ENGINE, route=route(deployment, tmp_path / "a", unused_port, wake)) as site:
        async with client(site) as http:
            answer = await http.post("/v1/completions", json=wanted("x", model="larger"), headers=MAY_LEAVE)
    assert answer.status_code == 503
    assert "'larger' is not here, and the cloud does not answer" in answer.json()["error"]["message"]


async def test_who_has_no_key_of_the_endpoint_cannot_have_it_started(
    start_server: StartServer, deployment: Path, unused_port: int, tmp_path: Path
) -> None:
    others = tmp_path / "keys.json"
    others.write_text(json.dumps({"keys": [{"id": "another", "sha256": "0" * 64}]}))
    with Catalogue(tmp_path, deployment / "tls", others) as catalogue:
        wake = {"url": catalogue.url, "seconds": 60}
        told = route(deployment, tmp_path / "a", unused_port, wake)
        with start_server(engine=ENGINE, route=told) as site:
            async with client(site) as http:
                body = wanted("x", model="larger")
                answer = await http.post("/v1/completions", json=body, headers=MAY_LEAVE)
            (refusal,) = [
                e for e in site.events() if e["event"] == "the catalogue refuses to start the endpoint"
            ]
        assert answer.status_code == 503
        assert refusal["status"] == 403
        assert not catalogue.wanted
