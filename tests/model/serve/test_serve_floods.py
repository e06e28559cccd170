"""Thousands of connections that never begin, or never end, at a server with 1,024 descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from tests.campaigns import campaign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.serve.running_server import RunningServer, StartServer

pytestmark = [pytest.mark.slow, pytest.mark.anyio]
# At a time; the server ends most of them.
OPEN = 2000
HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
# What each kind of connection sends, and whether that is after TLS.
KINDS = {
    "silent": (b"", False),
    "one byte": (b"\x16", False),
    "no TLS": (b"GET / HTTP/1.1\r\n", False),
    "no head": (b"", True),
    "half a head": (HEAD, True),
    "half a body": (HEAD + b"authorization: Bearer KEY\r\ncontent-length: 99\r\n\r\n{", True),
    "half a trailer": (
        HEAD + b"authorization: Bearer KEY\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-a: ",
        True,
    ),
}


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """So many open files are allowed here, in the client."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < OPEN + 500:
        pytest.skip(f"needs {OPEN + 500} open files (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], OPEN + 500), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def give_up(writer: asyncio.StreamWriter) -> None:
    """End a connection at once; it counts as closed before the event loop has done so."""
    writer.close()
    writer.transport.abort()


async def flood(server: RunningServer, connections: int) -> None:
    """Open the connections, a few at once, and leave each to itself; the oldest are given up."""
    dice, held, todo = random.Random(4), deque[asyncio.StreamWriter](), list(range(connections))

    async def one_by_one() -> None:
        while todo:
            todo.pop()
            first, with_tls = KINDS[dice.choice([*KINDS])]
            tls = {"ssl": server.trust, "server_hostname": "localhost"} if with_tls else {}
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(20):
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port, **tls)  # type: ignore[arg-type]
                held.append(writer)
                writer.write(first.replace(b"KEY", server.key.encode()))
            if len(held) > OPEN:
                give_up(held.popleft())

    await asyncio.gather(*(one_by_one() for _ in range(50)))
    for writer in held:
        give_up(writer)
    await asyncio.sleep(0.1)


async def ask_for_health(server: RunningServer, waits: list[float]) -> None:
    """Ask on a new connection each time; note how long each answer took. Raises if there is none."""
    while True:
        began = time.monotonic()
        async with httpx.AsyncClient(verify=server.trust, timeout=30) as http:
            assert (await http.get(f"{server.url}/healthz")).text == "alive\n"
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.05)


def told(server: RunningServer) -> list[dict[str, Any]]:
    """What the log says of connections that ended early."""
    return [each for each in server.events() if each["event"] == "connections ended without a request"]


@pytest.mark.usefixtures("many_descriptors")
@campaign("connections", 2500, soak=20_000)
async def test_health_is_told_throughout_connections_that_never_begin_or_end(
    start_server: StartServer, connections: int
) -> None:
    with start_server(descriptors=1024) as server:
        waits: list[float] = []
        asking = asyncio.create_task(ask_for_health(server, waits))
        flooding = asyncio.create_task(flood(server, connections))
        await asyncio.wait({asking, flooding}, return_when=asyncio.FIRST_COMPLETED)
        await flooding
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        assert len(waits) > 5
        process = psutil.Process(server.process.pid)
        assert process.rlimit(psutil.RLIMIT_NOFILE) == (1024, 1024)
        await asyncio.to_thread(server.wait_for, lambda: process.num_fds() < 200)
        # The last ones are told of up to ten seconds later; a quick machine has ended the flood before.
        await asyncio.to_thread(
            server.wait_for, lambda: sum(each.get("made_room", 0) for each in told(server)) > connections / 10
        )
        ended = told(server)
        assert not any("out_of_descriptors" in event for event in ended)
        # One line when it begins, and then one in ten seconds.
        assert len(ended) < 10 + sum(waits)
        assert server.post("/v1/completions", {"model": "assistant", "prompt": "Hi"}).status_code == 200
        print(f"health: {len(waits)} answers, the slowest after {max(waits):.1f} s")
