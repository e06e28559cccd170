"""The Debian tree: from the mirror that this machine uses, and whole or not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import LabError
from lab.premises import debian_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[3]
OWN = "Debian main bookworm http://mirror.example/debian/"
UPDATES = "Debian main bookworm-updates http://mirror.example/debian/"
SECURITY = "Debian main bookworm-security http://mirror.example/debian-security/"
NEWER = "Debian main trixie http://newer.example/debian/"


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What this machine's apt knows."""
    known: list[str] = []

    def run(command: Sequence[str]) -> str:
        assert command[0] == "apt-get"
        return "\n".join(known)

    monkeypatch.setattr(debian_tree, "run", run)
    monkeypatch.delenv("LAB_DEBIAN_MIRROR", raising=False)
    return known


@pytest.mark.parametrize(
    ("known", "mirror"),
    [
        ([SECURITY, UPDATES, NEWER, OWN], "http://mirror.example/debian/"),
        ([SECURITY, NEWER], "http://newer.example/debian/"),
    ],
)
def test_the_mirror_is_the_one_of_this_machines_apt(apt: list[str], known: list[str], mirror: str) -> None:
    apt += known
    assert debian_tree.mirror() == mirror


def test_a_machine_without_a_debian_mirror_says_how_to_name_one(
    apt: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apt += ["Ubuntu main noble http://mirror.example/ubuntu/", " noble http://no-origin.example/"]
    with pytest.raises(LabError, match=r"has no mirror of Debian bookworm; .* set LAB_DEBIAN_MIRROR"):
        debian_tree.mirror()
    monkeypatch.setenv("LAB_DEBIAN_MIRROR", "http://mine.example/debian")
    assert debian_tree.mirror() == "http://mine.example/debian"


@pytest.mark.parametrize(("failures", "made"), [(2, True), (3, False)])
def test_a_package_that_does_not_come_is_asked_for_again_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failures: int, made: bool
) -> None:
    asked: list[str] = []

    def debootstrap(aside: Path, source: str, _progress: object) -> None:
        assert list(aside.iterdir()) == [], "from the beginning"
        (aside / "half").touch()
        asked.append(source)
        if len(asked) <= failures:
            raise LabError("debootstrap failed: E: Couldn't download packages: libc6")

    monkeypatch.setenv("LAB_DEBIAN_MIRROR", "http://mine.example/debian")
    monkeypatch.setattr(debian_tree, "lab_cache", lambda: tmp_path)
    monkeypatch.setattr(debian_tree, "_debootstrap", debootstrap)
    monkeypatch.setattr(debian_tree, "run", lambda *_, **__: "")
    if made:
        assert debian_tree.base_tree().is_dir()
    else:
        with pytest.raises(LabError, match="Couldn't download packages"):
            debian_tree.base_tree()
    assert len(asked) == 3


def test_hosts_run_the_release_of_debian_that_is_named_if_the_lab_knows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = debian_tree.recipe()
    monkeypatch.setenv("LAB_DEBIAN", "trixie")
    assert debian_tree.suite() == "trixie"
    assert debian_tree.recipe() != usual
    monkeypatch.setenv("LAB_DEBIAN", "sid")
    with pytest.raises(LabError, match="LAB_DEBIAN=sid: the hosts are built for bookworm or trixie"):
        debian_tree.recipe()


def test_another_recipe_is_another_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    before = debian_tree.recipe()
    assert before == debian_tree.recipe()
    monkeypatch.setattr(debian_tree, "_PACKAGES", (*debian_tree._PACKAGES, "tar"))
    assert debian_tree.recipe() != before


@pytest.mark.slow
def test_a_killed_debootstrap_leaves_no_process_no_mount_and_no_tree(
    lab_folder: Path, tmp_path: Path
) -> None:
    """The real debootstrap, in a cache of its own, killed as soon as it is at work."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-m", "lab.up"], cwd=ROOT, env=environment) as making:
        aside = tmp_path / "model-deployment-scenarios" / "lab" / "bookworm.unfinished"
        while making.poll() is None and not (aside / "debootstrap").is_dir():
            time.sleep(0.1)
        assert making.poll() is None
        making.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (left := _that_mention(str(tmp_path))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert [path.name for path in aside.parent.glob("bookworm*")] == ["bookworm.unfinished"]


@pytest.mark.slow
def test_a_mirror_that_cannot_be_reached_ends_in_one_line(lab_folder: Path, tmp_path: Path) -> None:
    unreachable = {"XDG_CACHE_HOME": str(tmp_path), "LAB_DEBIAN_MIRROR": "http://127.0.0.1:9/debian"}
    done = subprocess.run(
        [sys.executable, "-m", "lab.up"],
        cwd=ROOT,
        env=os.environ | unreachable,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("make lab: debootstrap failed: ")
    assert last.endswith("set LAB_DEBIAN_MIRROR to a reachable mirror")


def _that_mention(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            pass
    return found
