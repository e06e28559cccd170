"""Reports on their way: in order, none lost, whatever the cloud answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scenario_model.edge.sender import Sender
from scenario_model.errors import Refused, TemporaryError
from scenario_model.exchange.spool import Spool
from tests.model.exchange.test_spool import report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenario_model.exchange.contract import Crossing


class Cloud:
    """Takes reports; `fails` says which of its answers do not come."""

    url = "https://cloud"

    def __init__(
        self, fails: Callable[[int, list[int]], Exception | None] = lambda _n, _numbers: None
    ) -> None:
        self.taken: list[int] = []
        self._fails, self._asked = fails, 0

    def post(self, path: str, content: bytes, *crossing: Crossing) -> dict[str, object]:
        assert {each.direction for each in crossing} == {"up"}
        assert path == "v1/reports"
        numbers = [number for number, _ in json.loads(content)]
        self._asked += 1
        if error := self._fails(self._asked, numbers):
            raise error
        self.taken += numbers
        return {"accepted": numbers[-1]}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "reports.sqlite")
    spool.add(*map(report, range(3000)))
    return spool


def test_all_that_waits_is_sent_in_order(spool: Spool) -> None:
    cloud = Cloud()
    assert Sender(spool, cloud).drain() == 3000
    assert cloud.taken == [*range(1, 3001)]
    assert spool.number_waiting == 0
    assert Sender(spool, cloud).drain() == 0


def test_what_was_not_acknowledged_is_sent_again(spool: Spool) -> None:
    cloud = Cloud(lambda asked, _: TemporaryError("cut") if asked == 2 else None)
    with pytest.raises(TemporaryError, match="cut"):
        Sender(spool, cloud).drain()
    assert 0 < spool.number_waiting < 3000
    Sender(spool, cloud).drain()
    assert cloud.taken == [*range(1, 3001)]


def test_a_report_that_the_cloud_refuses_stops_no_other(spool: Spool) -> None:
    cloud = Cloud(lambda _, numbers: Refused("breaks the contract") if 700 in numbers else None)
    Sender(spool, cloud).drain()
    assert cloud.taken == [number for number in range(1, 3001) if number != 700]


def test_an_acknowledgement_of_something_else_is_not_believed(spool: Spool) -> None:
    class Wrong(Cloud):
        def post(self, path: str, content: bytes, *crossing: Crossing) -> dict[str, object]:
            del path, content, crossing
            return {"accepted": 99_999}

    with pytest.raises(TemporaryError, match="the cloud acknowledged 99999"):
        Sender(spool, Wrong()).drain()
    assert spool.number_waiting == 3000
