"""A local copy of a release: none while the job was not waited for, and one as soon as its release is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from components.aws import release_copy
from components.aws.release_copy import ReleaseCopyProvider

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "assistant@sha256:" + "0" * 64


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, Any]:
    """As Pulumi hands it to the provider: what is None, it leaves out."""
    return {"store": "s3://bucket/releases", "folder": str(tmp_path / "releases")}


def test_without_a_release_nothing_is_copied_and_nothing_fails(wanted: dict[str, Any]) -> None:
    made = ReleaseCopyProvider().create(wanted)
    assert (made.id, made.outs["path"]) == ("none", "")
    assert not ReleaseCopyProvider().diff("none", made.outs, wanted).changes
    ReleaseCopyProvider().delete("none", made.outs)


def test_a_release_that_is_found_later_is_copied_in_its_stead(
    wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ReleaseCopyProvider().create(wanted).outs
    now = {**wanted, "release": RELEASE}
    assert ReleaseCopyProvider().diff("none", before, now).replaces == ["release"]
    monkeypatch.setattr(release_copy, "_fetch", lambda *parts: parts[-1].mkdir(parents=True))
    made = ReleaseCopyProvider().create(now)
    assert made.id == RELEASE
    assert made.outs["path"] == f"{wanted['folder']}/{RELEASE.replace('@sha256:', '-')}"
    ReleaseCopyProvider().delete(RELEASE, made.outs)
    assert list((release_copy.Path(wanted["folder"])).iterdir()) == []
