"""What a new cluster is given."""

from __future__ import annotations

import pytest

from lab import LabError
from lab.kubernetes import addons


@pytest.mark.parametrize(("asked", "given"), [("", True), ("none", False)])
def test_a_cluster_has_jobset_and_kueue_unless_they_are_left_out(
    asked: str, given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_QUEUEING", asked)
    assert addons.queueing() is given


def test_another_wish_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_QUEUEING", "no")
    with pytest.raises(LabError, match='unknown LAB_QUEUEING=no; set it to "none", or leave it empty'):
        addons.queueing()
