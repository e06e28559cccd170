"""`python3 -m lab.binaries`."""

from __future__ import annotations

import sys

import pytest

from lab import LabError
from lab.binaries import __main__ as command


def no_programs(name: str) -> None:
    raise LabError(f"{name} was made")


def test_for_tests_nothing_is_made_where_the_lab_cannot_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "programs", no_programs)
    monkeypatch.setattr(command, "lacking", lambda: "needs root")
    monkeypatch.setattr(sys, "argv", ["lab.binaries", "--for-tests"])
    command.main()
    assert "needs root" in capsys.readouterr().err


def test_for_tests_all_are_made_where_the_lab_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "programs", no_programs)
    monkeypatch.setattr(command, "lacking", lambda: "")
    monkeypatch.setattr(sys, "argv", ["lab.binaries", "--for-tests"])
    with pytest.raises(SystemExit, match="kubernetes was made"):
        command.main()
