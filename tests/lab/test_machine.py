"""What the machine lacks is said in one line with the remedy, before anything is made."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lab import LabError, machine
from lab.machine import PACKAGES, lacking, require

ROOT = Path(__file__).parents[2]


def programs(folder: Path, **scripts: str) -> str:
    """A folder for PATH with shell scripts in it."""
    folder.mkdir()
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(folder)


def test_without_root_the_remedy_is_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"needs root.*; sudo make lab$"):
        require()


def test_a_missing_program_is_named_by_its_package_and_make_lab_deps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "_SYSTEM_PATH", "")
    monkeypatch.setattr(machine, "KEYRING", tmp_path / "no-keyring")
    everything = {name: "true" for name in machine.PROGRAMS if name not in {"nft", "systemd-nspawn"}}
    monkeypatch.setenv("PATH", programs(tmp_path / "bin", **everything))
    with pytest.raises(
        LabError, match=r"nftables, systemd-container, debian-archive-keyring; make lab-deps$"
    ):
        require()


def test_without_namespaces_the_reason_is_the_one_that_the_kernel_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(machine, "PROGRAMS", {})
    monkeypatch.setattr(machine, "KEYRING", ROOT)
    monkeypatch.setattr(machine, "hierarchy", lambda: ROOT)
    refused = "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1"
    path = programs(tmp_path / "bin", unshare=refused)
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    assert "Operation not permitted" in lacking()
    assert lacking().endswith("use a virtual machine")


def deps(path: str) -> subprocess.CompletedProcess[str]:
    """`make lab-deps` with other programs; as root, but apt-get is one of them."""
    return subprocess.run(
        [sys.executable, "-m", "lab.deps"],
        cwd=ROOT,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lab_deps_installs_nothing_where_everything_is_there(tmp_path: Path) -> None:
    there = "".join(f"{package} installed\\n" for package in PACKAGES)
    path = programs(tmp_path / "bin", dpkg_query=f"printf '{there}'", apt_get="echo called; exit 1")
    done = deps(path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to do" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as make lab-deps does")
def test_lab_deps_installs_only_what_is_missing(tmp_path: Path) -> None:
    there = "".join(f"{package} installed\\n" for package in PACKAGES if package != "nftables")
    path = programs(tmp_path / "bin", dpkg_query=f"printf '{there}'", apt_get='echo "$@"')
    done = deps(path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].split()[-2:] == ["--no-install-recommends", "nftables"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as make lab-deps does")
def test_lab_deps_says_which_step_of_apt_failed(tmp_path: Path) -> None:
    done = deps(programs(tmp_path / "bin", dpkg_query="exit 1", apt_get="exit 100"))
    assert done.returncode == 1
    assert "`apt-get update` failed" in done.stderr


def test_lab_deps_names_the_packages_where_there_is_no_apt(tmp_path: Path) -> None:
    done = deps(programs(tmp_path / "bin"))
    assert done.returncode == 1
    assert "dpkg-query not found; install debian-archive-keyring" in done.stderr
