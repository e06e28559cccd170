"""Lines of another server's stream: what is passed on can always be followed by an event."""

from __future__ import annotations

import json

import pytest

from scenario_model.serve.sse import WholeLines

STREAM = b': still working\ndata: {"text": "a"}\n\ndata: {"text": "b"}\n\n'


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_wherever_a_stream_breaks_off_every_event_can_be_read(cut: int) -> None:
    lines = WholeLines()
    passed = b"".join(lines.add(STREAM[at : at + 1]) for at in range(cut)) + lines.closing(
        {"error": "broken"}
    )
    assert passed.endswith(b"\n\n")
    events = [event for event in passed.replace(b": still working\n", b"").split(b"\n\n") if event]
    told = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert told[-1] == {"error": "broken"}
    assert told[:-1] == [{"text": "a"}, {"text": "b"}][: len(told) - 1]


def test_a_stream_that_is_whole_is_passed_on_unchanged() -> None:
    lines = WholeLines()
    assert b"".join(lines.add(STREAM[at : at + 7]) for at in range(0, len(STREAM), 7)) == STREAM
