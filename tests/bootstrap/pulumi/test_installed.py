"""An engine that is there already is taken when it is recent enough, and named when it is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from bootstrap import BootstrapError
from bootstrap.pulumi.__main__ import find_engine
from bootstrap.versions import version_of

if TYPE_CHECKING:
    from pathlib import Path


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("version", ["3.259.0", "3.260.1", "4.0.0", "3.300.0-dev.0"])
def test_a_recent_pulumi_on_path_is_taken(
    version: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = programs(tmp_path / "bin", version=version)
    put_on_path(folder, monkeypatch)
    assert find_engine() == folder
    assert "found on PATH" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "without", "said"),
    [
        ("3.100.0", "", "is 3.100.0: 3.259.0 or newer is required"),
        ("?", "", "does not run"),
        ("3.259.0", "pulumi-language-python", "comes without pulumi-language-python"),
    ],
)
def test_a_pulumi_on_path_that_will_not_do_is_left_alone_and_the_reason_is_said(
    version: str,
    without: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    programs: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put_on_path(programs(tmp_path / "bin", version=version, without=without), monkeypatch)
    with pytest.raises(BootstrapError, match=r"no pulumi 3\.259\.0 or newer on PATH; install it"):
        find_engine("path")
    assert said in capsys.readouterr().err


def test_an_unknown_source_is_refused_by_name() -> None:
    with pytest.raises(BootstrapError, match="unknown ENGINE_SOURCE=brew; use path, bundle, download, build"):
        find_engine("brew")


def test_versions_are_read_as_pulumi_writes_them() -> None:
    assert version_of("v3.259.0\n") == (3, 259, 0)
    assert version_of("3.260.0-alpha.1+abc") == (3, 260, 0)
    assert version_of("not a version") is None
    assert version_of("") is None
