"""Reports that wait on a site: none is lost, none is sent under two numbers."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import ScenarioModelError
from scenario_model.exchange.contract import Metrics, decode
from scenario_model.exchange.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = f"assistant@sha256:{'0' * 64}"


def report(number: int) -> Metrics:
    return Metrics(at=float(number), release=RELEASE, seconds=60.0, answered=number)


def test_reports_come_out_in_their_order_until_they_are_known_to_have_arrived(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "reports.sqlite")
    assert spool.add(*map(report, range(3))) == 3
    assert spool.add(report(3)) == 4
    assert [decode(content) for _, content in spool.waiting()] == [*map(report, range(4))]
    assert [number for number, _ in spool.waiting()] == [1, 2, 3, 4]
    spool.sent(2)
    assert [number for number, _ in spool.waiting()] == [3, 4]
    spool.close()
    again = Spool(tmp_path / "reports.sqlite")
    again.sent(4)
    assert again.add(report(9)) == 5, "a number is never given again"


def test_a_batch_has_a_size_and_at_least_one_report(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "reports.sqlite")
    spool.add(*map(report, range(1000)))
    batch = spool.waiting(10_000)
    assert 10 < len(batch) < 1000
    assert sum(len(content) for _, content in batch) <= 10_000
    assert len(spool.waiting(1)) == 1


def test_the_oldest_are_given_up_where_there_is_a_limit_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "reports.sqlite", most=10)
    for number in range(25):
        spool.add(report(number))
    assert [number for number, _ in spool.waiting()] == [*range(16, 26)]
    assert (spool.number_waiting, spool.number_dropped) == (10, 15)


def test_a_file_that_is_no_spool_is_named(tmp_path: Path) -> None:
    (tmp_path / "reports.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(
        ScenarioModelError, match=r"reports\.sqlite: cannot keep reports: file is not a database"
    ):
        Spool(tmp_path / "reports.sqlite")


@pytest.mark.slow
def test_what_was_kept_is_there_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from tests.model.exchange.test_spool import report\n"
        "from scenario_model.exchange.spool import Spool\n"
        "from pathlib import Path\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "while True: print(spool.add(report(1)), flush=True)\n"
    )
    draw = random.Random(7)
    last = 0
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "reports.sqlite")],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(draw.uniform(0.0, 0.3))
            process.send_signal(signal.SIGKILL)
            told = [int(line) for line in process.stdout.read().splitlines() if line.isdecimal()]
        spool = Spool(tmp_path / "reports.sqlite")
        numbers = [number for number, _ in spool.waiting(10**9)]
        assert numbers == [*range(1, len(numbers) + 1)]
        assert len(numbers) >= max(told, default=last)
        last = len(numbers)
        spool.close()


def test_a_spool_that_is_made_anew_does_not_begin_where_a_former_one_did(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", first=1_800_000_000_000)
    assert spool.add(report(1)) == 1_800_000_000_000
    spool.close()
    again = Spool(tmp_path / "spool", first=1_900_000_000_000)
    assert again.add(report(2)) == 1_800_000_000_001
    again.close()
