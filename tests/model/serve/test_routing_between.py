"""What a site and a cloud do with a balancer between them that ends TLS, sees what crosses, and misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import json
import signal
import ssl
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from scenario_model.exchange.audit import AuditLog
from tests.model.serve.test_serve_load import client, ending, wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.model.serve.running_server import RunningServer, StartServer

pytestmark = [pytest.mark.slow, pytest.mark.anyio]
MAY_LEAVE = {"X-Data-Class": "may-leave"}
ENGINE = {"weights": "fp32", "compile": "off", "threads": 1, "max_waiting": 64, "max_sequences": 1}
LONG = 1900


@pytest.fixture(scope="module")
def cloud(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server(engine={**ENGINE, "max_sequences": 8}) as server:
        yield server


@pytest.fixture
def start_site(start_server: StartServer, deployment: Path, tmp_path: Path) -> Any:
    """Starts a site whose cloud is at a port; its audit log is in tmp_path."""

    @contextlib.asynccontextmanager
    async def start(port: int, **changes: Any) -> AsyncIterator[RunningServer]:
        route = {
            "url": f"https://localhost:{port}/v1",
            "api_key": str(deployment / "tls" / "api_key"),
            "authority": str(deployment / "tls" / "ca.pem"),
            "audit": str(tmp_path / "audit"),
            "spill_at": 1,
            "connect_seconds": 20,
        }
        starting = start_server(engine=ENGINE, route=route, **changes)
        # The balancer answers on this event loop meanwhile.
        site = await asyncio.to_thread(starting.__enter__)
        try:
            yield site
        finally:
            starting.__exit__(None, None, None)

    return start


@contextlib.asynccontextmanager
async def busy(http: httpx.AsyncClient) -> AsyncIterator[list[asyncio.Task[httpx.Response]]]:
    """A site whose one slot is taken, with a request that waits: both stay here."""
    body = wanted("x", max_tokens=LONG, stream=True)
    tasks = [asyncio.create_task(http.post("/v1/completions", json=body)) for _ in range(2)]
    await asyncio.sleep(0.5)
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Balancer:
    """Ends TLS before the real cloud. `status`: answer with it instead; `compresses`: as clients allow."""

    def __init__(
        self, deployment: Path, cloud: RunningServer, *, status: int = 0, compresses: bool = False
    ) -> None:
        self._tls, self._cloud, self._status, self._compresses = deployment / "tls", cloud, status, compresses
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._tls / "server.pem", self._tls / "server.key")
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
                head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(head["content-length"]))
                self.heads.append(head)
                self.bodies.append(body)
                writer.write(await self._answer(head, body))
                await writer.drain()
        writer.close()

    async def _answer(self, head: dict[str, str], body: bytes) -> bytes:
        if self._status:
            return f"HTTP/1.1 {self._status} Refused\r\ncontent-length: 0\r\n\r\n".encode()
        async with httpx.AsyncClient(verify=self._cloud.trust, timeout=60) as http:
            told = {"authorization": head["authorization"], "content-type": head["content-type"]}
            answer = await http.post(self._cloud.url + "/v1/completions", content=body, headers=told)
        content, encoding = answer.content, "identity"
        if self._compresses and "gzip" in head.get("accept-encoding", ""):
            content, encoding = gzip.compress(content), "gzip"
        lines = [
            f"HTTP/1.1 {answer.status_code} Answered",
            f"content-type: {answer.headers['content-type']}",
            f"x-release: {answer.headers['x-release']}",
            f"content-encoding: {encoding}",
            f"content-length: {len(content)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + content


async def test_what_crosses_is_the_request_alone_and_the_audit_log_has_its_digest(
    start_site: Any, cloud: RunningServer, deployment: Path, tmp_path: Path
) -> None:
    async with (
        Balancer(deployment, cloud, compresses=True) as between,
        start_site(between.port) as site,
        client(site) as http,
        busy(http),
    ):
        body = wanted("hello", stream=True) | {"user": "a-name", "metadata": {"case": "a-number"}}
        headers = MAY_LEAVE | {"X-Department": "a-department", "X-Request-Id": "an-id", "Cookie": "a=cookie"}
        answer = await http.post("/v1/completions", json=body, headers=headers)
        assert (answer.headers["x-computed-at"], ending(answer.text)) == ("cloud", ("whole", "length"))
        # What the site itself would refuse does not leave.
        for refused in ("word " * 5000, [999_999]):
            answer = await http.post(
                "/v1/completions", json=wanted("") | {"prompt": refused}, headers=MAY_LEAVE
            )
            assert answer.status_code == 400
        assert site.metric("scenario_model_requests_kept_total", reason="queue") == 0
        await http.post("/v1/completions", json=wanted("") | {"prompt": [999_999]})
        assert site.metric("scenario_model_requests_kept_total", reason="queue") == 1
    assert set(between.heads[0]) == {
        *("host", "accept", "accept-encoding", "connection", "user-agent"),
        *("authorization", "content-type", "content-length"),
    }
    (crossed,) = between.bodies
    assert set(json.loads(crossed)) == {
        *("model", "prompt", "stream", "max_tokens", "temperature", "top_p", "ignore_eos")
    }
    noted = [each for each in AuditLog(tmp_path / "audit").read() if each.kind == "request"]
    assert [(each.bytes, each.sha256) for each in noted] == [
        (len(crossed), hashlib.sha256(crossed).hexdigest())
    ]


async def test_a_cloud_that_is_busy_is_left_alone_for_a_while_and_its_models_are_not_said_to_be_missing(
    start_site: Any, cloud: RunningServer, deployment: Path
) -> None:
    async with (
        Balancer(deployment, cloud, status=503) as between,
        start_site(between.port) as site,
        client(site) as http,
    ):
        for _ in range(3):
            answer = await http.post("/v1/completions", json=wanted("x", model="larger"), headers=MAY_LEAVE)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
            assert "retry-after" in answer.headers
    assert len(between.bodies) == 1


async def test_a_client_that_leaves_frees_its_slot_in_the_cloud(
    start_site: Any, cloud: RunningServer
) -> None:
    body = wanted("x", max_tokens=LONG, stream=True)
    async with start_site(cloud.port) as site, client(site) as http, busy(http):
        async with http.stream("POST", "/v1/completions", json=body, headers=MAY_LEAVE) as answer:
            assert answer.headers["x-computed-at"] == "cloud"
            await anext(answer.aiter_bytes())
        await asyncio.to_thread(
            cloud.wait_for, lambda: cloud.metric("vllm:num_requests_running") == 0, seconds=3
        )


async def test_a_drain_ends_a_stream_of_the_cloud_as_one_of_its_own(
    start_site: Any, cloud: RunningServer
) -> None:
    body = wanted("x", max_tokens=LONG, stream=True)
    async with start_site(cloud.port, drain_seconds=1) as site, client(site) as http, busy(http) as own:
        far = asyncio.create_task(http.post("/v1/completions", json=body, headers=MAY_LEAVE))
        await asyncio.sleep(0.5)
        site.process.send_signal(signal.SIGTERM)
        assert (await far).headers["x-computed-at"] == "cloud"
        # Either has the slot; the other never began.
        (began,) = [answer for answer in await asyncio.gather(*own) if answer.status_code == 200]
        for answer in (await far, began):
            assert ending(answer.text) == ("error event", None)
            assert "shutting down" in answer.text


async def test_no_request_fails_because_the_cloud_is_killed_under_load(
    start_site: Any, start_server: StartServer
) -> None:
    with start_server(engine={**ENGINE, "max_sequences": 8}) as cloud:
        async with start_site(cloud.port) as site, client(site) as http:

            async def ask(number: int) -> tuple[str, str]:
                await asyncio.sleep(number * 0.03)
                free, stream = number % 2 == 0, number % 4 < 2
                body = wanted(f"question {number}", max_tokens=32, stream=stream)
                answer = await http.post("/v1/completions", json=body, headers=MAY_LEAVE if free else {})
                assert answer.status_code == 200
                return answer.headers["x-computed-at"], ending(answer.text)[0] if stream else "whole"

            asks = [asyncio.create_task(ask(number)) for number in range(40)]
            await asyncio.sleep(0.6)
            cloud.process.kill()
            outcomes = set(await asyncio.gather(*asks))
    # Only an answer of the cloud that had begun may end early, and it says so.
    assert outcomes <= {("site", "whole"), ("cloud", "whole"), ("cloud", "error event")}
    assert ("site", "whole") in outcomes
