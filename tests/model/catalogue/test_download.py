"""Files that arrive over a link that fails: never twice, never too fast, never without room."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from scenario_model.catalogue.download import Download, Pace
from scenario_model.catalogue.sources import FolderSource
from scenario_model.errors import ScenarioModelError, TemporaryError
from scenario_model.release.verify import verify_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scenario_model.catalogue.documents import ReleaseIndex
    from tests.model.catalogue.world import World


class Failing:
    """A link that fails after every `bytes` of a file; counts what it carried."""

    def __init__(self, root: Path, bytes_: int) -> None:
        self._inner, self._bytes, self.carried = FolderSource(root), bytes_, 0

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        for content in self._inner.read(path, start):
            self.carried += len(content[: self._bytes])
            yield content[: self._bytes]
            if len(content) > self._bytes:
                raise TemporaryError("cut", where=path)


@pytest.fixture
def index(world: World) -> ReleaseIndex:
    visitor = world.visitor()
    visitor.visit()
    assigned = visitor.assignment("here", "first")
    assert assigned
    return visitor.index(assigned)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are noted instead of made."""
    pauses: list[float] = []
    monkeypatch.setattr("scenario_model.catalogue.download.time.sleep", pauses.append)
    return pauses


def test_what_arrived_is_the_release_and_verifies(world: World, index: ReleaseIndex, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    folder = Download(FolderSource(world.store), tmp_path).bring(
        index, lambda done, of: told.append((done, of))
    )
    assert verify_release(folder, world.key_pair.public, index.release)
    assert told[-1] == (index.size, index.size)


def test_a_link_that_is_cut_again_and_again_carries_every_byte_once(
    world: World, index: ReleaseIndex, tmp_path: Path, quick: list[float]
) -> None:
    link = Failing(world.store, 10)
    folder = Download(link, tmp_path, attempts=3).bring(index)
    assert verify_release(folder, world.key_pair.public, index.release)
    assert link.carried == index.size
    assert set(quick) == {1.0}, "each attempt got further"


def test_a_link_that_carries_nothing_is_given_up_after_ever_longer_pauses(
    world: World, index: ReleaseIndex, tmp_path: Path, quick: list[float]
) -> None:
    with pytest.raises(TemporaryError, match="cut"):
        Download(Failing(world.store, 0), tmp_path, attempts=5, longest_pause=3).bring(index)
    assert quick == [1.0, 2.0, 3.0, 3.0]


def test_what_the_site_has_already_is_not_sent_again(
    world: World, index: ReleaseIndex, tmp_path: Path
) -> None:
    earlier = world.store / "releases" / "assistant" / world.releases[0].partition("@")[2].replace(":", "-")
    link = Failing(world.store, 10**6)
    Download(link, tmp_path, have=[earlier]).bring(index)
    other = sum(index.files[name].bytes for name in ("release.json", "release.sig"))
    assert link.carried == other


def test_a_part_that_was_damaged_on_the_disk_is_received_again(
    world: World, index: ReleaseIndex, tmp_path: Path
) -> None:
    file = index.files["tokenizer.json"]
    (tmp_path / f"{file.sha256}.part").write_bytes(b"x" * file.bytes)
    with pytest.raises(ScenarioModelError, match="content differs from what was signed"):
        Download(FolderSource(world.store), tmp_path).bring(index)
    assert Download(FolderSource(world.store), tmp_path).bring(index)


def test_without_room_nothing_is_begun(
    world: World, index: ReleaseIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 3})
    monkeypatch.setattr("scenario_model.catalogue.download.shutil.disk_usage", lambda _: usage)
    with pytest.raises(
        ScenarioModelError, match=r"has 0 MiB free, and .* free some space; what has arrived is kept"
    ):
        Download(FolderSource(world.store), tmp_path / "a").bring(index)
    assert [path for path in (tmp_path / "a").rglob("*") if path.is_file()] == []


def test_the_rate_is_kept_on_average(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(
        "scenario_model.catalogue.download.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds)
    )
    pace, began = Pace(1000), now[0]
    for _ in range(50):
        pace.spend(100)
    assert now[0] - began == pytest.approx(5.0, abs=0.2)
    now[0] += 60
    pace.spend(100)
    assert now[0] - began == pytest.approx(65.1, abs=0.2), "a pause is no credit"
