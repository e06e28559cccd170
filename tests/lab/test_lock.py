"""One run at a time on a lab's state folder, which the run that holds it may remove."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from lab.lock import exclusive

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_run_waits_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def second() -> None:
        with exclusive(tmp_path / "lab"):
            order.append("second")

    with exclusive(tmp_path / "lab"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert "waiting: another run holds" in capsys.readouterr().err


def test_who_waited_for_a_folder_that_was_removed_gets_a_new_one(tmp_path: Path) -> None:
    seen: list[bool] = []

    def second() -> None:
        with exclusive(tmp_path / "lab"):
            seen.append((tmp_path / "lab").is_dir())

    with exclusive(tmp_path / "lab"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.2)
        (tmp_path / "lab").rmdir()
    thread.join()
    assert seen == [True]


def test_a_failure_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), exclusive(tmp_path / "lab"):
        raise ValueError("inside")
    with exclusive(tmp_path / "lab"):
        pass
