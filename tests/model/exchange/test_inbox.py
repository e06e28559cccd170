"""What sites report, as the cloud keeps it: each report once, whoever sent or received it how often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import Refused
from scenario_model.exchange.contract import encode
from scenario_model.exchange.inbox import Inbox, checked, packed
from scenario_model.release.store import FolderStore
from tests.model.exchange.counted import counted
from tests.model.exchange.test_spool import report

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0


def reports(*numbers: int) -> list[tuple[int, bytes]]:
    return [(number, encode(report(number))) for number in numbers]


def test_a_report_that_arrives_twice_counts_once(tmp_path: Path) -> None:
    one, other = Inbox(FolderStore(tmp_path)), Inbox(FolderStore(tmp_path))
    one.take(5 * HOUR, {"here": reports(1, 2), "there": reports(1)})
    other.take(5 * HOUR + 1, {"here": reports(2, 3)})
    one.take(7 * HOUR, {"here": reports(1, 2, 3, 4)})
    found = [(each.site, each.number) for each in counted(one)]
    assert sorted(found) == [("here", 1), ("here", 2), ("here", 3), ("here", 4), ("there", 1)]
    assert one.hours() == [5, 7]
    assert {each.arrived for each in counted(one, 7 * HOUR)} == {7 * HOUR}
    assert {each.message for each in counted(one, 7 * HOUR)} == {report(number) for number in (1, 2, 3, 4)}


def test_ten_thousand_reports_at_once_are_kept_in_objects_that_a_store_takes(tmp_path: Path) -> None:
    Inbox(FolderStore(tmp_path)).take(0.0, {"here": reports(*range(1, 10_001))})
    assert sum(1 for _ in counted(Inbox(FolderStore(tmp_path)))) == 10_000
    assert max(path.stat().st_size for path in tmp_path.rglob("*.gz")) < 2**22


def test_what_a_site_sends_is_checked_whole_before_any_of_it_is_kept() -> None:
    good = reports(1, 2, 5)
    assert checked("here", packed(good)) == good
    for bad in (
        b"{}",
        b"[1]",
        packed(reports(2, 1)),
        packed(reports(1, 1)),
        packed([(0, reports(1)[0][1])]),
        packed([(1, b'{"kind":"prompt","text":"What is the capital of France?"}')]),
        packed(good).replace(b'"answered":5', b'"answered":"Paris"'),
    ):
        with pytest.raises(Refused) as error:
            checked("here", bad)
        assert "Paris" not in str(error.value)
        assert "France" not in str(error.value)
    with pytest.raises(Refused, match="is not a site's name"):
        checked("../keys", packed(good))


def test_an_object_that_was_damaged_is_named(tmp_path: Path) -> None:
    Inbox(FolderStore(tmp_path), "a").take(0.0, {"here": reports(1)})
    (path,) = tmp_path.rglob("*.gz")
    path.chmod(0o644)
    path.write_bytes(b"no gzip")
    with pytest.raises(Refused, match=r"reports/0000000/.*-a-000001\.gz: is not an object of reports"):
        list(counted(Inbox(FolderStore(tmp_path))))
