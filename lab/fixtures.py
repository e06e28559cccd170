"""pytest fixtures for tests that need premises: `premises(hosts=2)` and `wan`.

Each test has a lab of its own, which takes seconds, and whose teardown check is part of the test. On a
machine that cannot give one the test is skipped with the reason.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from lab import lock
from lab.machine import lacking
from lab.premises.lifecycle import Premises, bring_up, tear_down
from lab.premises.wan import Wan

if TYPE_CHECKING:
    from collections.abc import Iterator


class MakePremises(Protocol):
    """What the fixture `premises` hands out; called again, it changes the number of hosts."""

    def __call__(self, hosts: int | None = None) -> Premises: ...  # noqa: D102


@pytest.fixture
def lab_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for a lab, which the lab's commands use too; torn down and checked afterwards."""
    if reason := lacking():
        pytest.skip(f"needs a machine that can run the lab: {reason}")
    # Not tmp_path: its name may be too long for the sockets in it.
    above = Path(tempfile.mkdtemp(prefix="lab-"))
    monkeypatch.setenv("LAB_STATE", str(above / "state"))
    monkeypatch.setenv("PATH", os.environ["PATH"])  # as `require` completed it
    yield above / "state"
    with lock.exclusive(above / "state"):
        tear_down(above / "state")
    shutil.rmtree(above)


@pytest.fixture
def premises(lab_folder: Path) -> MakePremises:
    """Makes premises with the number of hosts that it is called with: 2 if none is named."""

    def make(hosts: int | None = None) -> Premises:
        with lock.exclusive(lab_folder):
            return bring_up(lab_folder, hosts)

    return make


@pytest.fixture
def wan(premises: MakePremises) -> Wan:
    """The link between the test's premises and the world outside: cut, restore, slow, capture."""
    return Wan(premises().space)
