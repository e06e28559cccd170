"""Files on their way to a site: the range that is asked for, a piece at a time, and no longer than somebody reads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.catalogue.sending import InPieces, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = b"x" * 1000


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (0, 10)),
        ({"range": "bytes=3-"}, (3, 10)),
        ({"range": "bytes=3-5"}, (3, 6)),
        ({"range": "bytes=3-99"}, (3, 10)),
        ({"range": "bytes=-4"}, (6, 10)),
        ({"range": "bytes=-99"}, (0, 10)),
        ({"range": "bytes=10-"}, None),
        ({"range": "bytes=5-3"}, None),
        ({"range": "bytes=0-1,4-5"}, (0, 10)),
        ({"range": "lines=1-2"}, (0, 10)),
        ({"range": "bytes=-"}, (0, 10)),
        ({"range": "bytes=3-", "if-range": '"a"'}, (3, 10)),
        ({"range": "bytes=3-", "if-range": '"b"'}, (0, 10)),
    ],
)
def test_a_range_is_what_is_asked_for(asked: dict[str, str], expected: tuple[int, int] | None) -> None:
    assert wanted(asked, 10, '"a"') == expected


class Source:
    """Pieces that are counted when they are read."""

    def __init__(self, number: int) -> None:
        self.number, self.read, self.closed = number, 0, False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for _ in range(self.number):
                self.read += 1
                yield PIECE
        finally:
            self.closed = True


def sent(source: Source, *, leaves_after: int) -> tuple[int, list[str]]:
    """How many pieces were read before each was taken at most, and what happened at the end."""
    ahead, ended = 0, list[str]()

    async def answer() -> None:
        nonlocal ahead
        taken, gone = 0, asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal ahead, taken
            if message.get("body"):
                ahead = max(ahead, source.read - taken)
                taken += 1
                if taken == leaves_after:
                    gone.set()
                await asyncio.sleep(0)

        with ThreadPoolExecutor(2) as pool:
            await InPieces(iter(source), pool, lambda: ended.append("ended"), 200, {"content-length": "1"})(
                {"type": "http"}, receive, send
            )

    asyncio.run(answer())
    return ahead, ended


def test_a_file_is_read_as_it_is_taken() -> None:
    source = Source(500)
    assert sent(source, leaves_after=0) == (1, ["ended"])
    assert (source.read, source.closed) == (500, True)


def test_a_file_is_not_read_on_when_its_reader_has_left() -> None:
    source = Source(500)
    assert sent(source, leaves_after=5)[1] == ["ended"]
    assert source.read < 10
    assert source.closed
