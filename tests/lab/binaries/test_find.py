"""Programs come from PATH, the cache, a verified release or a build; in that order, each made once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import LabError
from lab.binaries import programs
from lab.binaries.groups import GROUPS, Release
from tests.lab.binaries.conftest import ARCHIVE, RELEASED

if TYPE_CHECKING:
    from lab.binaries.groups import Group
    from tests.lab.binaries.conftest import Site

ROOT = Path(__file__).parents[3]


def said_by(program: Path) -> str:
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_what_no_one_publishes_is_built_with_its_version(hello: Group, cache: Path) -> None:
    assert programs("hello") == cache / "hello-1.2.3"
    assert said_by(cache / "hello-1.2.3" / "hello") == "built-1.2.3"
    assert [path.name for path in (cache / "hello-1.2.3").iterdir()] == ["hello"]


def test_a_release_that_fits_its_published_checksum_is_taken(site: Site, cache: Path) -> None:
    assert said_by(programs("hello") / "hello") == "the release\n"
    assert not list(cache.glob("*.unfinished"))


def test_a_release_of_bare_programs_with_a_checksum_each_is_taken(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = Release(base=site.url, files=("hello",), checksums="{file}.sha256")
    monkeypatch.setitem(GROUPS, "hello", replace(GROUPS["hello"], release=bare))
    site.files["hello"] = RELEASED
    site.files["hello.sha256"] = hashlib.sha256(RELEASED).hexdigest().encode()
    assert said_by(programs("hello") / "hello") == "the release\n"


def test_a_changed_release_is_thrown_away_and_the_program_built_instead(
    site: Site, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    site.files[ARCHIVE] = site.files[ARCHIVE][:-1] + b"!"
    assert said_by(programs("hello") / "hello") == "built-1.2.3"
    assert "file discarded" in capsys.readouterr().err
    assert not list(cache.rglob(f"{ARCHIVE}*"))


def test_a_changed_release_is_an_error_where_only_a_download_is_wanted(
    site: Site, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("LAB_SOURCE", "download")
    site.files[ARCHIVE] = site.files[ARCHIVE][:-1] + b"!"
    with pytest.raises(LabError, match=r"hello 1\.2\.3 is unavailable: .* published is"):
        programs("hello")
    assert not (cache / "hello-1.2.3").exists()


def test_an_archive_that_lacks_the_program_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_SOURCE", "download")
    group = GROUPS["hello"]
    assert group.release
    monkeypatch.setitem(
        GROUPS, "hello", replace(group, release=replace(group.release, members=("bin/hello",)))
    )
    with pytest.raises(LabError, match=rf"{ARCHIVE} lacks hello"):
        programs("hello")


def test_what_is_kept_is_taken_without_network_or_go(
    hello: Group, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = cache / "hello-1.2.3"
    kept.mkdir(parents=True)
    (kept / "hello").touch()
    monkeypatch.setenv("PATH", "")
    assert programs("hello") == kept


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ("hello version v1.2.0-rc1", True),
        ("hello 1.9.0, go1.26", True),
        ("hello 1.1.9", False),
        ("hello 2.0.0", False),
        ("who knows", False),
    ],
)
def test_a_program_on_path_is_taken_when_it_is_recent_enough(
    told: str, taken: bool, hello: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GROUPS, "hello", replace(hello, minimum=(1, 2)))
    installed = tmp_path / "bin"
    installed.mkdir()
    (installed / "hello").write_text(f"#!/bin/sh\necho '{told}'\n")
    (installed / "hello").chmod(0o755)
    monkeypatch.setenv("PATH", str(installed), prepend=os.pathsep)
    assert (programs("hello") == installed) is taken


def test_a_group_of_which_a_program_is_missing_on_path_is_not_taken(
    hello: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(GROUPS, "hello", replace(hello, programs=("hello", "other"), minimum=(1, 2)))
    monkeypatch.setenv("LAB_SOURCE", "path")
    (tmp_path / "hello").write_text("#!/bin/sh\necho 1.2.3\n")
    (tmp_path / "hello").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(LabError, match="no recent enough hello on PATH; install it"):
        programs("hello")


def test_two_runs_at_once_make_a_program_once(cache: Path) -> None:
    """The real command, for the smallest real group."""
    command = [sys.executable, "-m", "lab.binaries", "pause"]
    runs = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [run.communicate() for run in runs]
    assert [out for out, _ in told] == [f"{cache / 'pause-1'}\n"] * 2
    assert sum("building pause 1" in errors for _, errors in told) == 1


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("", "nothing", r"unknown programs nothing; use one of kubernetes, etcd,"),
        ("guess", "pause", r"unknown LAB_SOURCE=guess; use path, download, build"),
    ],
)
def test_what_is_not_known_is_one_clear_line(
    source: str, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_SOURCE", source)
    with pytest.raises(LabError, match=message):
        programs(name)


def test_a_build_that_needs_a_c_compiler_names_the_packages(
    hello: Group, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(GROUPS, "hello", replace(hello, cgo=True))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"gcc, pkg-config or libseccomp's headers are missing; make lab-deps"):
        programs("hello")
