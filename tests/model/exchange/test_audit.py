"""What crossed is on the disk of the side that says so, whoever wrote it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import ScenarioModelError
from scenario_model.exchange.audit import AuditLog
from scenario_model.exchange.contract import Crossing

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import sys
from pathlib import Path
from scenario_model.exchange.audit import AuditLog
from scenario_model.exchange.contract import Crossing
for number in range(200):
    AuditLog(Path(sys.argv[1])).record(Crossing(float(number), "up", "status", number, sys.argv[2], "0" * 64))
"""


def crossing(at: float, kind: str = "status") -> Crossing:
    return Crossing(at, "up", kind, 300, "plant-7", "0" * 64)


def test_crossings_are_read_back_in_order_of_days(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit")
    log.record(crossing(90_000.0), crossing(1.0))
    log.record(crossing(2.0, "request"))
    assert list(log.read()) == [crossing(1.0), crossing(2.0, "request"), crossing(90_000.0)]
    assert [path.name for path in sorted((tmp_path / "audit").iterdir())] == [
        "1970-01-01.jsonl",
        "1970-01-02.jsonl",
    ]


def test_processes_that_write_together_lose_and_mix_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name]) for name in ("gateway", "agent")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    written = [(each.peer, each.bytes) for each in AuditLog(tmp_path).read()]
    assert sorted(written) == sorted((peer, number) for peer in ("gateway", "agent") for number in range(200))


def test_a_line_cut_off_by_a_power_cut_is_skipped_and_the_others_stay(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.record(crossing(1.0), crossing(2.0))
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-20])
    assert list(log.read()) == [crossing(1.0)]
    log.record(crossing(3.0))
    assert list(log.read()) == [crossing(1.0), crossing(3.0)]


def test_what_cannot_be_logged_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("in the way")
    with pytest.raises(ScenarioModelError, match=r"audit: cannot write the audit log: .*; free some space"):
        AuditLog(tmp_path / "audit").record(crossing(1.0))
