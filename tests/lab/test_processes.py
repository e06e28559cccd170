"""Processes of a lab are known by number and start time, and by the mark that they carry."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from lab import LabError
from lab.commands import run, succeeds
from lab.processes import MARK, Process, marked

if TYPE_CHECKING:
    from pathlib import Path


def test_a_number_that_was_given_away_again_is_not_taken_for_ours() -> None:
    me = Process.of(os.getpid())
    assert me
    assert me.alive
    other = Process(me.pid, me.started - 1)
    assert not other.alive
    assert other.kill(), "which would end this test, were it not for the start time"


def test_a_process_that_ended_is_gone_before_its_parent_asks() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = Process.of(child.pid)
        assert process
        assert process.kill()
        assert Process.of(child.pid) is None


def test_lasting_processes_are_found_by_their_mark(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], env=os.environ | {MARK: str(tmp_path)}) as child:
        while not marked(tmp_path):  # until it is sleep, it is still us
            time.sleep(0.01)
        assert marked(tmp_path) == [child.pid]
        assert marked(tmp_path.parent) == []
        child.kill()


def test_a_command_that_fails_is_told_in_its_own_last_words() -> None:
    assert run(["sh", "-c", "cat"], stdin="in and out") == "in and out"
    assert not succeeds(["sh", "-c", "exit 3"])
    with pytest.raises(LabError, match=r"first \| no such thing; make it$"):
        run(["sh", "-c", "echo first >&2; echo 'no such thing' >&2; exit 3"], remedy="make it")


def test_a_command_that_hangs_is_ended_and_named() -> None:
    with pytest.raises(LabError, match="`sleep 60` timed out after 0 s"):
        run(["sleep", "60"], timeout_s=0.1)
