"""HTTP/1.1 as its RFCs say: where a request ends is never in doubt, and what is in doubt is refused."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_model.serve.framing import fault

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from tests.model.serve.stand_in import StandInEngine

    Exchange = Callable[..., Awaitable[bytes]]

pytestmark = pytest.mark.anyio
KEY = b"authorization: Bearer smk_a-key-for-tests\r\n"
POST = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n" + KEY
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
BODY = b'{"model": "assistant", "prompt": "Hello", "max_tokens": 1}'


@pytest.fixture
def exchange(port: int, trust: ssl.SSLContext) -> Exchange:
    """Sends bytes on a new connection, a part at a time, and reads until the server closes it."""

    async def send(*parts: bytes, answers: int = 1) -> bytes:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname="localhost"
        )
        async with asyncio.timeout(10):
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.01)
            said = b""
            while said.count(b"HTTP/1.1 ") < answers or b"\r\n\r\n" not in said:
                if not (more := await reader.read(2**16)):
                    break
                said += more
        writer.transport.abort()
        return said

    return send


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\nHOST: b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: user@a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a:b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost : a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost:\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.1\r\nhost: xn--bcher-kva.example:443\t \r\n\r\n", 200),
        (b"GET https://a/healthz HTTP/1.1\r\nhost: a\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET /healthz\r\n\r\n", 505),
        (b"GET /healthz HTTP/0.9\r\n\r\n", 505),
        (b"GET /healthz HTTP/2.0\r\nhost: a\r\n\r\n", 505),
        (b"GET /healthz HTTP/1.2\r\nhost: a\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: b\r\n c\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: b\rc\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: b\x00\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\nhost: a\n\n", 400),
        (b"GET /healthz HTTP/1.1\r\nhost: a\r\nexpect: 200-ok\r\n\r\n", 417),
        (POST + b"content-length: 58\r\ntransfer-encoding: chunked\r\n\r\n" + BODY, 400),
        (POST + b"transfer-encoding: chunked\r\ncontent-length: 58\r\n\r\n0\r\n\r\n", 400),
        (POST + b"content-length: 58\r\ncontent-length: 58\r\n\r\n" + BODY, 400),
        (POST + b"content-length: 58\r\ncontent-length: 5\r\n\r\n" + BODY, 400),
        (POST + b"content-length: 58, 58\r\n\r\n" + BODY, 400),
        (POST + b"content-length: +58\r\n\r\n" + BODY, 400),
        (POST + b"content-length: 0x3a\r\n\r\n" + BODY, 400),
        (POST + b"content-length: \r\n\r\n" + BODY, 400),
        (POST + b"content-length: 184467440737095516660\r\n\r\n" + BODY, 400),
        (POST + b"content-length: 58 \t\r\n\r\n" + BODY, 200),
        (POST + b"content-length: 0058\r\n\r\n" + BODY, 200),
        (POST + b"transfer-encoding: gzip, chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n", 501),
        (POST + b"transfer-encoding: identity, chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n", 501),
        (POST + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n", 501),
        (POST + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding: \r\n\r\n", 400),
        (POST.replace(b"1.1", b"1.0") + b"transfer-encoding: chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: Chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n", 200),
        (CHUNKED + b"3a;name=value\r\n" + BODY + b"\r\n0\r\n\r\n", 200),
        (b"\r\nGET /healthz HTTP/1.1\r\nhost: a\r\n\r\n", 200),
    ],
)  # fmt: skip
async def test_a_head_has_one_meaning_or_is_refused(exchange: Exchange, raw: bytes, status: int) -> None:
    said = await exchange(raw)
    assert said.startswith(b"HTTP/1.1 %d" % status)
    if status != 200:
        assert b"connection: close" in said


@pytest.mark.parametrize(
    "framed",
    [b"3a\n%s\r\n0\r\n\r\n", b"0x3a\r\n%s\r\n0\r\n\r\n", b"3a \r\n%s\r\n0\r\n\r\n", b"3a;a\n%s\r\n0\r\n\r\n",
     b"3a\r\n%s0\r\n\r\n", b"3a\r\n%s\n0\r\n\r\n", b"-3a\r\n%s\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFF\r\n%s\r\n0\r\n\r\n"],
)  # fmt: skip
async def test_a_chunk_has_one_meaning_or_ends_the_connection(exchange: Exchange, framed: bytes) -> None:
    said = await exchange(CHUNKED + framed.replace(b"%s", BODY) + b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
    assert b"HTTP/1.1 200" not in said


@pytest.mark.parametrize("size", [60_000, 65_000, 66_000, 70_000, 200_000])
@pytest.mark.parametrize("shape", ["one field", "many fields", "a long target", "blanks", "before the name"])
async def test_a_head_is_limited_to_64_kib_however_it_arrives(
    exchange: Exchange, size: int, shape: str
) -> None:
    head = b"GET /healthz%s HTTP/1.1\r\nhost: a\r\n"
    rest = {
        "one field": (head % b"") + b"x: " + b"y" * size,
        "many fields": (head % b"") + b"x: yyyyyyyyyyyyy\r\n" * (size // 18) + b"z:",
        "a long target": (head % (b"?" + b"y" * size)) + b"z:",
        "blanks": (head % b"") + b"x:" + b" " * size,
        "before the name": b"\r\n" * 10 + (head % b"") + b"y" * size + b": ",
    }[shape]
    whole = rest + b"\r\n\r\n"
    limit = 64 * 1024
    for parts in ([whole], [whole[at : at + 9000] for at in range(0, len(whole), 9000)]):
        status = int((await exchange(*parts)).split(b" ", 2)[1])
        if len(whole) < limit:
            assert status == 200
        elif len(whole) > limit + 4096 or shape != "blanks":
            assert status == 431


async def test_trailers_and_sizes_of_chunks_are_limited_too(exchange: Exchange) -> None:
    for endless in (b"2\r\n{}\r\n0\r\nx: " + b"y" * 100_000, b"2;" + b"y" * 100_000, b"0" * 100_000):
        said = await exchange(CHUNKED, *[endless[at : at + 9000] for at in range(0, len(endless), 9000)])
        assert b"HTTP/1.1 200" not in said
    body = BODY + b" " * 20_000
    single = b"".join(chunk(body[at : at + 1]) for at in range(len(body)))
    assert (await exchange(CHUNKED + single + b"0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_http_1_0_gets_no_chunks(exchange: Exchange, stand_in_engine: StandInEngine) -> None:
    streamed = json.dumps({"model": "assistant", "prompt": "Hello", "max_tokens": 3, "stream": True}).encode()
    head = POST.replace(b"1.1", b"1.0") + b"connection: keep-alive\r\nexpect: 100-continue\r\n"
    said = await exchange(head + b"content-length: %d\r\n\r\n" % len(streamed) + streamed, answers=99)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    events = body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["choices"] for event in events[:-2])
    whole = await exchange(POST.replace(b"1.1", b"1.0") + b"content-length: 58\r\n\r\n" + BODY, answers=99)
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head


async def test_a_request_for_another_protocol_is_answered_and_the_connection_closed(
    exchange: Exchange,
) -> None:
    said = await exchange(
        b"GET /healthz HTTP/1.1\r\nhost: a\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"
        b"GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n",
        answers=2,
    )
    assert said.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in said


@settings(max_examples=300, deadline=None)
@given(
    version=st.sampled_from(["1.0", "1.1"]),
    hosts=st.lists(st.sampled_from([b"a", b"a:1", b"a b", b""]), max_size=2),
    lengths=st.lists(st.sampled_from([b"2", b"02", b"+2", b"2,2", b" 2", b"\xb2"]), max_size=2),
    codings=st.lists(
        st.sampled_from([b"chunked", b"Chunked", b"gzip", b"gzip, chunked", b"chunked,", b""]), max_size=2
    ),
)
def test_a_head_is_accepted_only_if_all_readers_agree_on_it(
    version: str, hosts: list[bytes], lengths: list[bytes], codings: list[bytes]
) -> None:
    fields: Any = [(b"host", v) for v in hosts] + [(b"content-length", v) for v in lengths]
    fields += [(b"transfer-encoding", v) for v in codings]
    refused = fault(version, fields)
    one_host = (len(hosts) == 1 or (version == "1.0" and not hosts)) and hosts != [b"a b"]
    one_length = lengths in ([], [b"2"], [b"02"])
    chunked = [value.lower() for value in codings] == [b"chunked"] and not lengths and version == "1.1"
    assert (refused is None) == (one_host and one_length and (chunked or not codings))
    if refused is not None:
        assert refused.status in (400, 501)
