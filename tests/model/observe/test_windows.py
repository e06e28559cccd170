"""The file of windows: readable after whatever happened to its writer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from scenario_model.observe.windows import Window, WindowLog

if TYPE_CHECKING:
    from pathlib import Path

ONE = Window(
    start=0.0,
    seconds=60.0,
    release="assistant",
    answered=3,
    refused=0,
    failed=1,
    units=2,
    first_token_ms=(10.0, 20.0),
    signals=[("changed", 1.0, 10.0)],
    asks="nothing",
)


def test_windows_are_kept_in_their_order(tmp_path: Path) -> None:
    log = WindowLog(tmp_path / "observation" / "windows.jsonl")
    for start in (0.0, 60.0):
        log.add(replace(ONE, start=start))
    assert [each.start for each in log.read()] == [0.0, 60.0]
    assert log.read()[0].failed == 1


def test_a_torn_line_is_left_out_and_harms_no_other(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    WindowLog(path).add(ONE)
    with path.open("a") as stream:
        stream.write('{"start": 60.0, "sec')
    WindowLog(path).add(replace(ONE, start=120.0))
    assert [each.start for each in WindowLog(path).read()] == [0.0, 120.0]


def test_old_windows_go(tmp_path: Path) -> None:
    log = WindowLog(tmp_path / "windows.jsonl")
    for start in range(3300):
        log.add(replace(ONE, start=float(start)))
    kept = log.read()
    assert len(kept) == 3000
    assert kept[-1].start == 3299.0
