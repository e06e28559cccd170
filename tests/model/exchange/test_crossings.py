"""What crosses is written down in one way by both sides, and kept by the cloud in its store."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import TemporaryError
from scenario_model.exchange import crossings
from scenario_model.exchange.audit_objects import AuditObjects
from scenario_model.exchange.contract import Crossing, Status, encode
from scenario_model.release.store import FolderStore
from tests.model.exchange.test_spool import RELEASE, report

if TYPE_CHECKING:
    from pathlib import Path


def test_a_batch_is_one_crossing_for_each_kind_in_it() -> None:
    status = encode(Status(at=1.0, release=RELEASE, state="serving", package="0.1.0"))
    metrics = [encode(report(number)) for number in (1, 2)]
    noted = crossings.of_reports(7.0, "here", [(1, metrics[0]), (2, status), (3, metrics[1])])
    joined = hashlib.sha256(b"\n".join(metrics)).hexdigest()
    assert noted == [
        Crossing(7.0, "up", "metrics", sum(map(len, metrics)), "here", joined),
        Crossing(7.0, "up", "status", len(status), "here", hashlib.sha256(status).hexdigest()),
    ]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("catalogue/metadata/timestamp.json", "metadata"),
        ("catalogue/targets/releases/assistant/0.1.json", "metadata"),
        ("catalogue/targets/rings/0.first.json", "assignment"),
        ("catalogue/targets/sites/0.here.json", "assignment"),
        ("releases/assistant/sha256-0/model.safetensors", "release"),
    ],
)
def test_a_file_has_the_kind_that_the_contract_names(path: str, kind: str) -> None:
    assert crossings.of_file(1.0, "here", path, 3, "0" * 64) == Crossing(
        1.0, "down", kind, 3, "here", "0" * 64
    )


def crossing(number: int) -> Crossing:
    return Crossing(float(number), "up", "status", number, "here", "0" * 64)


def test_what_receivers_note_is_in_the_store_by_hours(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    one, other = AuditObjects(store), AuditObjects(store)
    one.record(crossing(1), crossing(2))
    other.record(crossing(3))
    assert (one.write(1.0), other.write(1.0), one.write(2.0)) == (2, 1, 0)
    one.record(*map(crossing, range(4, 12_000)))
    one.write(7200.0)
    assert sorted(each.bytes for each in AuditObjects(store).read()) == [*range(1, 12_000)]
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == ["0000000", "0000002"]


def test_what_a_store_does_not_take_waits_until_no_more_may_wait(tmp_path: Path) -> None:
    class Busy(FolderStore):
        def create(self, key: str, content: bytes) -> bool:
            raise TemporaryError("is busy", where=key)

    log = AuditObjects(Busy(tmp_path), most=2)
    log.record(crossing(1))
    with pytest.raises(TemporaryError):
        log.write(1.0)
    assert not log.full
    log.record(crossing(2))
    assert log.full
