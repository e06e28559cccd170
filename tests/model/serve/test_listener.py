"""On the wire: slow senders, slow readers, too many clients, broken requests, clients that leave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.serve.listener import tls_context
from scenario_model.serve.settings import Limits, Tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from scenario_model.serve.gateway import Gateway
    from tests.model.serve.stand_in import StandInEngine

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Connect = Callable[..., Awaitable[Streams]]

pytestmark = pytest.mark.anyio
AUTHORIZED = b"POST %s HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer smk_a-key-for-tests\r\n"


def request(path: bytes = b"/v1/completions", **body: Any) -> bytes:
    content = json.dumps({"model": "assistant", "prompt": "Hello", **body}).encode()
    return AUTHORIZED % path + b"content-length: %d\r\n\r\n" % len(content) + content


@pytest.fixture
async def connect(port: int, trust: ssl.SSLContext) -> AsyncIterator[Connect]:
    """Opens TLS connections that are closed after the test."""
    writers: list[asyncio.StreamWriter] = []

    async def open_connection(limit: int = 2**16) -> Streams:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname="localhost", limit=limit
        )
        writers.append(writer)
        return reader, writer

    yield open_connection
    for writer in writers:
        writer.transport.abort()


async def head(reader: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_old_tls_is_refused(certificates: Path) -> None:
    context = tls_context(
        Tls(certificate=certificates / "server.pem", private_key=certificates / "server.key")
    )
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_a_client_that_leaves_frees_its_slot(connect: Connect, stand_in_engine: StandInEngine) -> None:
    stand_in_engine.step_seconds = 0.02
    _, writer = await connect()
    writer.write(request(max_tokens=3000, ignore_eos=True, stream=True))
    await until(lambda: len(stand_in_engine.live) == 1)
    writer.transport.abort()
    await until(lambda: not stand_in_engine.live)


async def test_a_client_that_leaves_a_whole_answer_frees_its_slot(
    connect: Connect, stand_in_engine: StandInEngine
) -> None:
    stand_in_engine.step_seconds = 0.02
    _, writer = await connect()
    writer.write(request(max_tokens=3000, ignore_eos=True))
    await until(lambda: len(stand_in_engine.live) == 1)
    writer.transport.abort()
    await until(lambda: not stand_in_engine.live)


async def test_one_connection_carries_many_requests(connect: Connect) -> None:
    reader, writer = await connect()
    for _ in range(3):
        writer.write(request(max_tokens=1))
        answer = await head(reader)
        assert answer.startswith("HTTP/1.1 200")
        length = int(answer.lower().split("content-length: ")[1].split("\r\n")[0])
        await reader.readexactly(length)


@pytest.mark.parametrize(
    "trailer",
    [
        b"authorization: Bearer smk_a-key-for-tests",
        b"Authorization: Bearer smk_a-key-for-tests",
        b"x-request-id: from-a-trailer\r\nauthorization: Bearer smk_a-key-for-tests",
    ],
)
async def test_a_key_in_a_trailer_is_no_key(connect: Connect, trailer: bytes) -> None:
    reader, writer = await connect()
    chunked = b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    writer.write(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\n" + chunked + trailer + b"\r\n\r\n")
    assert (await head(reader)).startswith("HTTP/1.1 401")


@pytest.mark.parametrize(
    "trailer", [b"content-type: text/plain", b"x-request-id: trailer", b"host: y", b"content-encoding: gzip"]
)
async def test_a_trailer_changes_nothing(connect: Connect, trailer: bytes) -> None:
    reader, writer = await connect()
    content = request(max_tokens=1).partition(b"\r\n\r\n")[2]
    chunks = b"%x\r\n%s\r\n0\r\n" % (len(content), content)
    for _ in range(2):
        writer.write(AUTHORIZED % b"/v1/completions" + b"x-request-id: head\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n" + chunks + trailer + b"\r\n\r\n")
        answer = await head(reader)
        assert answer.startswith("HTTP/1.1 200")
        assert "x-request-id: head\r\n" in answer
        length = int(answer.lower().split("content-length: ")[1].split("\r\n")[0])
        await reader.readexactly(length)


class TestSlowReader:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=None, stall_seconds=0.5)

    async def test_it_is_cut_and_its_slot_freed(
        self, connect: Connect, stand_in_engine: StandInEngine, gateway: Gateway
    ) -> None:
        stand_in_engine.word_length, stand_in_engine.step_seconds = 20_000, 0.005
        _, writer = await connect(limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request(max_tokens=3000, ignore_eos=True, stream=True))
        await until(lambda: len(stand_in_engine.live) == 1)
        # Undisturbed, the answer would take 15 s.
        await until(lambda: not stand_in_engine.live, 5)
        await until(lambda: b'finished_reason="abort"' in gateway.metrics.text())


class TestSlowSender:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=None, header_seconds=0.5, body_seconds=0.5, idle_seconds=1)

    async def test_a_head_that_drips_is_408(self, connect: Connect) -> None:
        reader, writer = await connect()
        with contextlib.suppress(ConnectionError):
            for byte in AUTHORIZED % b"/v1/completions":
                writer.write(bytes([byte]))
                await asyncio.sleep(0.02)
        assert (await head(reader)).startswith("HTTP/1.1 408")

    async def test_silence_is_408(self, connect: Connect) -> None:
        reader, _ = await connect()
        assert (await head(reader)).startswith("HTTP/1.1 408")

    async def test_blank_lines_are_no_way_to_stay(self, connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(request(max_tokens=1))
        assert (await head(reader)).startswith("HTTP/1.1 200")
        with contextlib.suppress(ConnectionError):
            for _ in range(20):
                writer.write(b"\r\n")
                await asyncio.sleep(0.1)
        rest = await asyncio.wait_for(reader.read(), 5)
        assert b"408" in rest

    async def test_a_body_that_drips_is_408_and_ends_the_connection(self, connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(AUTHORIZED % b"/v1/completions" + b"content-length: 100\r\n\r\n{")
        answer = await head(reader)
        assert answer.startswith("HTTP/1.1 408")
        assert "connection: close" in answer
        assert b"request_timeout" in await asyncio.wait_for(reader.read(), 5)

    async def test_an_idle_connection_is_closed(self, connect: Connect) -> None:
        reader, writer = await connect()
        writer.write(request(max_tokens=1))
        await head(reader)
        assert b"text_completion" in await asyncio.wait_for(reader.read(), 5)


class TestConnections:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=None, connections=2)

    async def test_one_too_many_is_503_with_retry_after_and_health_is_still_told(
        self, connect: Connect, stand_in_engine: StandInEngine
    ) -> None:
        stand_in_engine.step_seconds = 0.05
        for _ in range(2):
            _, writer = await connect()
            writer.write(request(max_tokens=3000, ignore_eos=True, stream=True))
        await until(lambda: len(stand_in_engine.live) == 2)
        reader, writer = await connect()
        writer.write(request(max_tokens=1))
        answer = await head(reader)
        assert answer.startswith("HTTP/1.1 503")
        assert "retry-after: 1" in answer
        for path in (b"/healthz", b"/readyz"):
            reader, writer = await connect()
            writer.write(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path)
            assert (await head(reader)).startswith("HTTP/1.1 200")

    async def test_a_busy_connection_may_send_its_next_request_early(
        self, connect: Connect, stand_in_engine: StandInEngine
    ) -> None:
        stand_in_engine.step_seconds = 0.05
        _, other = await connect()
        other.write(request(max_tokens=3000, ignore_eos=True, stream=True))
        await until(lambda: len(stand_in_engine.live) == 1)
        reader, writer = await connect()
        writer.write(request(max_tokens=2) * 2)
        for _ in range(2):
            answer = await head(reader)
            assert answer.startswith("HTTP/1.1 200")
            length = int(answer.lower().split("content-length: ")[1].split("\r\n")[0])
            await reader.readexactly(length)


class TestSilence:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=None, keep_alive_seconds=0.2)

    async def test_a_silent_stream_gets_comments(
        self, connect: Connect, stand_in_engine: StandInEngine
    ) -> None:
        stand_in_engine.step_seconds = 0.7
        reader, writer = await connect()
        writer.write(request(stream=True, max_tokens=1))
        assert (await head(reader)).startswith("HTTP/1.1 200")
        body = b""
        while b"[DONE]" not in body:
            body += await asyncio.wait_for(reader.read(1000), 5)
        assert body.count(b": still working\n") >= 2
        assert b"working\n\n" not in body


async def test_a_head_without_end_is_431(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(AUTHORIZED % b"/v1/completions")
    with contextlib.suppress(ConnectionError):
        for i in range(200):
            writer.write(b"x-%d: %s\r\n" % (i, b"y" * 2000))
            await writer.drain()
            await asyncio.sleep(0)
    assert (await head(reader)).startswith("HTTP/1.1 431")


@pytest.mark.parametrize(
    "raw",
    [
        b"rubbish\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET http:// HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org\r\n\r\n",
        b"GET /v1/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
async def test_what_is_no_request_gets_4xx_in_the_usual_shape(connect: Connect, raw: bytes) -> None:
    reader, writer = await connect()
    writer.write(raw)
    answer = await head(reader)
    assert answer.startswith("HTTP/1.1 4")
    assert "x-release: assistant@sha256:" in answer
    length = int(answer.lower().split("content-length: ")[1].split("\r\n")[0])
    assert "error" in json.loads(await reader.readexactly(length))


async def test_rubbish_after_a_request_does_not_mix_into_its_answer(
    connect: Connect, stand_in_engine: StandInEngine
) -> None:
    stand_in_engine.step_seconds = 0.05
    reader, writer = await connect()
    writer.write(request(stream=True, max_tokens=20, ignore_eos=True))
    await head(reader)
    writer.write(b"rubbish\r\n\r\n")
    rest = b""
    with contextlib.suppress(ConnectionError):
        rest = await asyncio.wait_for(reader.read(), 5)
    assert b"HTTP/1.1" not in rest
    await until(lambda: not stand_in_engine.live)
