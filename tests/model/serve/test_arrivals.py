"""Connections that never begin: they are counted, end after seconds, are logged, and make room for others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_model.serve import logs
from scenario_model.serve.listener import Listener
from scenario_model.serve.room import Place, Room, origin
from scenario_model.serve.settings import Limits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterator

    from scenario_model.serve.gateway import Gateway

    Strangers = Callable[..., Awaitable[list[socket.socket]]]

pytestmark = pytest.mark.anyio


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The events that were logged, with their fields."""
    lines: list[dict[str, object]] = []
    monkeypatch.setattr(logs, "info", lambda event, **fields: lines.append({"event": event, **fields}))
    return lines


@pytest.fixture
def strangers(port: int) -> Iterator[Strangers]:
    """Opens TCP connections that say the first bytes of nothing; closed after the test."""
    opened: list[socket.socket] = []

    async def come(count: int, first: bytes = b"") -> list[socket.socket]:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", port)))
            opened[-1].sendall(first)
            opened[-1].setblocking(False)
            await asyncio.sleep(0)
        return opened[-count:]

    yield come
    for sock in opened:
        sock.close()


async def health(port: int, trust: ssl.SSLContext) -> bytes:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trust, server_hostname="localhost"
        )
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return await reader.read()


class TestBegin:
    @pytest.fixture
    def limits(self) -> Limits:
        return Limits(requests_per_minute=None, connections=2, waiting_connections=16, header_seconds=0.5)

    @pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"])
    async def test_they_end_after_seconds_and_are_logged_and_counted(
        self, strangers: Strangers, gateway: Gateway, log: list[dict[str, object]], first: bytes
    ) -> None:
        async with asyncio.timeout(5):
            for sock in await strangers(5, first):
                with contextlib.suppress(ConnectionError):
                    while await asyncio.get_running_loop().sock_recv(sock, 100):
                        pass
        await asyncio.sleep(1.1)
        reason = "tls_failed" if first else "never_began"
        assert f'reason="{reason}",release=' in gateway.metrics.text().decode()
        assert log == [{"event": "connections ended without a request", reason: 5}]

    @pytest.mark.parametrize("first", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01"])
    async def test_they_make_room_for_those_that_begin(
        self, strangers: Strangers, port: int, trust: ssl.SSLContext, gateway: Gateway, first: bytes
    ) -> None:
        for _ in range(4):
            await strangers(18, first)
            assert b"alive" in await health(port, trust)
        assert 'reason="made_room"' in gateway.metrics.text().decode()

    async def test_one_that_leaves_before_it_begins_is_not_worth_a_line(
        self, port: int, gateway: Gateway, log: list[dict[str, object]]
    ) -> None:
        with socket.create_connection(("127.0.0.1", port)):
            pass
        await asyncio.sleep(1.2)
        assert 'reason="left_before_it_began"' in gateway.metrics.text().decode()
        assert log == []


async def test_limits_are_fitted_to_the_descriptors_that_there_are_and_that_is_logged(
    gateway: Gateway, log: list[dict[str, object]]
) -> None:
    limits = Limits(connections=5000, waiting_connections=5000)
    listener = Listener(gateway, limits, "release", descriptors=1024)
    assert listener.room.busy + listener.room.total < 1024
    (line,) = log
    assert line["event"] == "too few descriptors for the limits on connections"
    assert (line["descriptors"], line["connections"]) == (1024, listener.room.busy)
    assert Listener(gateway, limits, "release", descriptors=20_000).room.total == 10_000
    assert len(log) == 1
    assert Listener(gateway, Limits(), "release", descriptors=1024).room.busy == Limits().connections


def test_a_room_always_has_a_place_for_one_that_waits() -> None:
    for connections in (1, 10, 256, 100_000):
        for descriptors in (16, 200, 1024, 20_000, 2**20):
            room = Room.of(Limits(connections=connections), descriptors)
            assert 1 <= room.busy < room.total
            assert room.busy + room.total <= max(descriptors, 140)


def test_the_longest_wait_of_the_largest_crowd_makes_room() -> None:
    ended: list[str] = []
    room = Room(2, 4)
    for name, peer in (("honest", b"a"), ("first", b"b"), ("second", b"b"), ("third", b"b")):
        assert not room.enter(peer, lambda name=name: ended.append(name))[1]  # type: ignore[misc]
    assert room.enter(b"b", lambda: ended.append("fourth"))[1]
    assert room.enter(b"c", lambda: ended.append("fifth"))[1]
    assert ended == ["first", "second"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["busy", "waits", "leaves", "room"])), max_size=60)
)
def test_a_room_never_loses_count(steps: list[tuple[int, str]]) -> None:
    room = Room(3, 100)
    places: dict[int, Place] = {}
    for number, step in steps:
        if number not in places or places[number].gone:
            places[number] = room.enter(b"%d" % (number % 2), lambda: None)[0]
        elif step == "room":
            room.make_room()
        else:
            {"busy": room.becomes_busy, "waits": room.waits, "leaves": room.leaves}[step](places[number])
    assert room.full == (sum(place.busy for place in places.values()) >= 3)
    for place in places.values():
        room.leaves(place)
        room.leaves(place)
    assert not room.full
    assert not room.make_room()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2:3:4:5", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_a_peer_is_an_ipv4_address_or_an_ipv6_network(one: str, other: str, same: bool) -> None:
    assert (origin((one, 1)) == origin((other, 2, 0, 0))) == same
