"""A local copy of a release: none while the job was not waited for, and one as soon as its release is known."""

from __future__ import annotations

import shutil
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


def test_a_machine_without_the_copy_makes_it_again_in_place(
    wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, now = ReleaseCopyProvider(), {**wanted, "release": RELEASE}
    monkeypatch.setattr(release_copy, "_fetch", lambda *parts: parts[-1].mkdir(parents=True))
    _, outputs = created(now)
    assert not provider.diff(RELEASE, outputs, now).changes
    shutil.rmtree(wanted["folder"])  # as on a machine that only has the state
    told = provider.diff(RELEASE, outputs, now)
    assert (told.changes, told.replaces) == (True, []), "a replacement would remove what it has just copied"
    again = provider.update(RELEASE, outputs, now).outs
    assert again == outputs
    assert Path(outputs["path"]).is_dir()


def test_the_same_release_in_another_store_keeps_its_copy(
    wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, now = ReleaseCopyProvider(), {**wanted, "release": RELEASE}
    monkeypatch.setattr(release_copy, "_fetch", lambda *parts: parts[-1].mkdir(parents=True))
    _, outputs = created(now)
    moved = {**now, "store": "s3://elsewhere/releases"}
    told = provider.diff(RELEASE, outputs, moved)
    assert (told.changes, told.replaces) == (True, [])
    assert provider.update(RELEASE, outputs, moved).outs == outputs | {"store": moved["store"]}
    assert Path(outputs["path"]).is_dir()
