"""A local copy of a release: none while the job was not waited for, and one as soon as its release is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.aws import release_copy
from components.aws.release_copy import ReleaseCopyProvider

RELEASE = "assistant@sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider settles in a process of its own: it would take the tracebacks from this one."""
    monkeypatch.setattr(release_copy, "settle_in", lambda: None)


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, Any]:
    return {"store": "s3://bucket/releases", "release": "", "folder": str(tmp_path / "releases")}


def created(properties: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    result = ReleaseCopyProvider().create(properties)
    assert result.outs
    return result.id, result.outs


def test_without_a_release_nothing_is_copied_and_nothing_fails(wanted: dict[str, Any]) -> None:
    name, outputs = created(wanted)
    assert (name, outputs["path"]) == ("none", "")
    assert not ReleaseCopyProvider().diff("none", outputs, wanted).changes
    ReleaseCopyProvider().delete("none", outputs)


def test_a_release_that_is_found_later_is_copied_in_its_stead(
    wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, before = created(wanted)
    now = {**wanted, "release": RELEASE}
    assert ReleaseCopyProvider().diff("none", before, now).replaces == ["release"]
    monkeypatch.setattr(release_copy, "_fetch", lambda *parts: parts[-1].mkdir(parents=True))
    name, outputs = created(now)
    assert name == RELEASE
    assert outputs["path"] == f"{wanted['folder']}/{RELEASE.replace('@sha256:', '-')}"
    ReleaseCopyProvider().delete(RELEASE, outputs)
    assert list(Path(wanted["folder"]).iterdir()) == []
