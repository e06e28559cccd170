"""What `make lab` is asked for by its environment, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import LabError
from lab.compose import bring_up
from lab.kubernetes.lifecycle import require_visible, running


def test_a_wish_that_is_not_known_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CLOUD", "aws")
    with pytest.raises(LabError, match='unknown LAB_CLOUD=aws; set it to "none", or leave it empty'):
        bring_up(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_cluster_the_remedy_is_make_lab(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="the lab's cluster is not up; make lab"):
        running(tmp_path)


def test_a_folder_that_the_cloud_would_not_see_is_refused(tmp_path: Path) -> None:
    require_visible(tmp_path)
    with pytest.raises(LabError, match="/var/lib/lab: folders below /var/lib are not visible in the cloud"):
        require_visible(tmp_path, Path("/var/lib/lab"))
