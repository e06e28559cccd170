"""A site that may let the cloud answer: two real servers, and what crosses between them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from scenario_model.exchange.audit import AuditLog
from tests.model.serve.test_serve_load import client, text_of, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.model.serve.running_server import RunningServer, StartServer

pytestmark = [pytest.mark.slow, pytest.mark.anyio]
SECRET = "a-text-of-class-local"
MAY_LEAVE = {"X-Data-Class": "may-leave"}
ENGINE = {"weights": "fp32", "compile": "off", "threads": 1, "max_waiting": 64, "max_sequences": 1}


@pytest.fixture(scope="module")
def cloud(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server(engine={**ENGINE, "max_sequences": 8}) as server:
        yield server


@pytest.fixture(scope="module")
def make_site(
    cloud: RunningServer,
    start_server: StartServer,
    deployment: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """Starts a site that routes to the cloud, or to another port; `audit` is its log."""

    def make(audit: Path, port: int = 0, connect_seconds: float = 20, **changes: Any) -> Any:
        route = {
            "url": f"https://localhost:{port or cloud.port}/v1",
            "api_key": str(deployment / "tls" / "api_key"),
            "authority": str(deployment / "tls" / "ca.pem"),
            "audit": str(audit),
            "spill_at": 1,
            "connect_seconds": connect_seconds,
        }
        return start_server(engine=ENGINE, route=route, **changes)

    return make


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def site(make_site: Any, audit: Path) -> Iterator[RunningServer]:
    with make_site(audit) as server:
        yield server


def written_in(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.iterdir())


def asked_of(server: RunningServer) -> list[dict[str, Any]]:
    """The requests that a server has answered, by its own log."""
    return [each for each in server.events() if each["event"] == "request" and "completions" in each["path"]]


async def test_under_overload_only_what_may_leave_leaves_and_both_logs_agree(
    site: RunningServer, cloud: RunningServer, audit: Path
) -> None:
    before, seen = len(asked_of(cloud)), len(list(AuditLog(audit).read()))
    async with client(site) as http:

        async def ask(number: int) -> httpx.Response:
            free = number % 2 == 0
            body = wanted(f"{'open' if free else SECRET} {number}", max_tokens=32, stream=number % 4 < 2)
            return await http.post("/v1/completions", json=body, headers=MAY_LEAVE if free else {})

        answers = await asyncio.gather(*map(ask, range(30)))
    assert {answer.status_code for answer in answers} == {200}
    places = [answer.headers["x-computed-at"] for answer in answers]
    assert set(places[1::2]) == {"site"}, "the odd ones may not leave"
    assert "cloud" in places[::2]
    assert {answer.headers["x-release"] for answer in answers} == {site.release}
    crossed = list(AuditLog(audit).read())[seen:]
    up = [each for each in crossed if each.kind == "request"]
    assert len(up) == len(asked_of(cloud)) - before == places.count("cloud")
    assert len([each for each in crossed if each.kind == "answer"]) == len(up)
    assert {each.peer for each in crossed} == {f"localhost:{cloud.port}"}
    site.wait_for(lambda: site.metric("scenario_model_answers_computed_total", where="remote") >= len(up))
    assert site.metric("scenario_model_requests_spilled_total", reason="queue") >= len(up)
    assert "open" not in written_in(audit)


async def test_an_answer_of_the_cloud_is_what_the_site_would_have_said(site: RunningServer) -> None:
    async with client(site) as http:

        async def ask(stream: bool) -> tuple[str, str]:
            answer = await http.post(
                "/v1/completions",
                json=wanted("Of all keywords", max_tokens=32, stream=stream),
                headers=MAY_LEAVE,
            )
            text = text_of(answer.text) if stream else answer.json()["choices"][0]["text"]
            return answer.headers["x-computed-at"], text

        said = await asyncio.gather(*(ask(number % 2 == 0) for number in range(24)))
    assert {place for place, _ in said} == {"site", "cloud"}
    assert len({text for _, text in said}) == 1


async def test_a_class_that_nobody_knows_and_a_model_that_may_not_leave_are_refused(
    site: RunningServer, audit: Path
) -> None:
    seen = len(list(AuditLog(audit).read()))
    async with client(site) as http:
        refused = await http.post("/v1/completions", json=wanted("x"), headers={"X-Data-Class": "public"})
        assert refused.status_code == 400
        assert "'X-Data-Class' must be 'local' or 'may-leave'" in refused.json()["error"]["message"]
        unknown = await http.post("/v1/completions", json=wanted(SECRET, model="larger"))
        assert unknown.status_code == 404
        assert len(list(AuditLog(audit).read())) == seen
        # The cloud does not have it either, and the site says so.
        unknown = await http.post("/v1/completions", json=wanted("x", model="larger"), headers=MAY_LEAVE)
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_key_that_is_local_stays_local_whatever_the_request_says(
    make_site: Any, deployment: Path, tmp_path: Path
) -> None:
    keys = json.loads((deployment / "tls" / "api_keys.json").read_text())
    keys["keys"][0]["data_class"] = "local"
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    with make_site(tmp_path / "audit", api_keys=str(tmp_path / "keys.json")) as site:
        async with client(site) as http:
            asks = [http.post("/v1/completions", json=wanted(SECRET), headers=MAY_LEAVE) for _ in range(6)]
            answers = await asyncio.gather(*asks)
    assert {answer.headers["x-computed-at"] for answer in answers} == {"site"}
    assert not (tmp_path / "audit").exists()


async def test_without_a_cloud_or_an_audit_log_the_site_answers_itself(
    make_site: Any, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as nobody,
        make_site(tmp_path / "audit", port=nobody.getsockname()[1], connect_seconds=1) as site,
    ):
        await all_here(site)
    (tmp_path / "in-the-way").write_text("")
    with make_site(tmp_path / "in-the-way") as site:
        await all_here(site)


async def all_here(site: RunningServer) -> None:
    async with client(site) as http:
        asks = [http.post("/v1/completions", json=wanted("x"), headers=MAY_LEAVE) for _ in range(8)]
        answers = await asyncio.gather(*asks)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["x-computed-at"] for answer in answers} == {"site"}


async def test_a_cloud_that_breaks_off_ends_a_stream_with_an_error_event(
    make_site: Any, cloud: RunningServer, tmp_path: Path
) -> None:
    with BreakingLine(cloud.port) as line, make_site(tmp_path / "audit", port=line.port) as site:
        async with client(site) as http:
            body = wanted("x", max_tokens=500, stream=True)
            first = asyncio.create_task(http.post("/v1/completions", json=body))
            second = asyncio.create_task(http.post("/v1/completions", json=body))
            await asyncio.sleep(0.5)
            line.after(4096)
            broken = await http.post("/v1/completions", json=body, headers=MAY_LEAVE)
            assert broken.headers["x-computed-at"] == "cloud"
            assert "The cloud broke off this answer; ask again." in broken.text
            assert "[DONE]" not in broken.text
            for task in (first, second):
                assert text_of((await task).text)


class BreakingLine:
    """A line to a port that is cut once so many bytes have come back."""

    def __init__(self, port: int) -> None:
        self._to, self._left = port, float("inf")
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]

    def after(self, size: int) -> None:
        """Cut it after so many bytes."""
        self._left = size

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        try:
            while piece := source.recv(1024):
                self._left -= len(piece) if back else 0
                if self._left < 0:
                    break
                target.sendall(piece)
        except OSError:
            pass
        # Not only closed: the other direction's thread still waits in one of them.
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
