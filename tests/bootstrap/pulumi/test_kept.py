"""What has a finished engine's name is finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bootstrap.cache import keep, workspace
from bootstrap.pulumi.__main__ import find_engine

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_an_engine_in_the_cache_is_taken_without_making_another(
    cache: Path, programs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = programs(cache / "build")
    assert find_engine() == kept
    assert f"from the cache, {kept} (build)" in capsys.readouterr().err


def test_a_damaged_engine_in_the_cache_is_passed_over(
    cache: Path, programs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (programs(cache / "download") / "pulumi").write_text("torn")
    whole = programs(cache / "build")
    assert find_engine() == whole
    assert "is damaged; rebuilding it" in capsys.readouterr().err


def test_an_unfinished_engine_does_not_count(cache: Path, programs: Any) -> None:
    with workspace(cache / "build") as folder:
        made = programs(folder / "bin")
        assert not (cache / "build").exists()
        assert keep(made, cache / "build") == cache / "build"
    assert sorted(path.name for path in cache.iterdir()) == ["build"]
