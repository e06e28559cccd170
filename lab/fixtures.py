"""pytest fixtures for tests that need a lab: `premises(hosts=2)` and `wan`, `lab` and `cluster`.

Premises take seconds: each test has its own, whose teardown check is part of the test. A cluster takes
longer: `lab`, premises with a cluster, is one for the whole session, checked at its end. On a machine that
cannot give what a test needs the test is skipped with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from lab import both, lock
from lab.kubernetes import network
from lab.machine import lacking
from lab.premises.lifecycle import Premises, bring_up
from lab.premises.wan import Wan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.both import Lab
    from lab.kubernetes.cluster import Cluster


class MakePremises(Protocol):
    """What the fixture `premises` hands out; called again, it changes the number of hosts."""

    def __call__(self, hosts: int | None = None) -> Premises: ...  # noqa: D102


@pytest.fixture
def lab_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder for a lab without a cluster, which the lab's commands use too; torn down afterwards."""
    with a_folder() as folder:
        monkeypatch.setenv("LAB_STATE", str(folder))
        monkeypatch.setenv("LAB_CLOUD", "none")
        monkeypatch.setenv("PATH", os.environ["PATH"])  # as `require` completed it
        yield folder


@contextlib.contextmanager
def a_folder() -> Iterator[Path]:
    """A state folder for a lab; what is up in it afterwards is torn down, and that is checked."""
    if reason := lacking():
        pytest.skip(f"needs a machine that can run the lab: {reason}")
    # Not tmp_path: its name may be too long for the sockets in it.
    above = Path(tempfile.mkdtemp(prefix="lab-"))
    yield above / "state"
    with lock.exclusive(above / "state"):
        both.tear_down(above / "state")
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


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Premises of one host, and a cluster outside of them."""
    with a_folder() as folder:
        if reason := network.lacking():
            pytest.skip(f"needs a machine that can run the lab's cluster: {reason}")
        with lock.exclusive(folder):
            made = both.bring_up(folder, hosts=1)
        yield made


@pytest.fixture(scope="session")
def cluster(lab: Lab) -> Cluster:
    """A Kubernetes cluster with JobSet and Kueue, in the lab of the session."""
    if lab.cluster is None:
        pytest.skip("needs a cluster, and LAB_CLOUD is set to none")
    return lab.cluster
