"""pytest fixtures for tests that need a lab: `premises(hosts=2)` and `wan`, `lab` and `cluster`, `aws`.

Premises take seconds: each test has its own, whose teardown check is part of the test. Slower fixtures are
shared by the session and checked at its end: `lab`, premises with a cluster, and the AWS API, emptied before
each test. If a machine lacks what a test needs, the test is skipped with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from lab import compose, lock
from lab.aws import lifecycle
from lab.kubernetes import network
from lab.machine import lacking
from lab.premises.lifecycle import Premises, bring_up
from lab.premises.wan import Wan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.compose import Lab
    from lab.kubernetes.cluster import Cluster


class MakePremises(Protocol):
    """Type of the fixture `premises`; called again, it changes the number of hosts."""

    def __call__(self, hosts: int | None = None) -> Premises: ...  # noqa: D102


@pytest.fixture
def lab_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """State folder of a lab without a cluster, also used by the lab's commands; torn down afterwards."""
    with a_folder() as folder:
        monkeypatch.setenv("LAB_STATE", str(folder))
        monkeypatch.setenv("LAB_CLOUD", "none")
        monkeypatch.setenv("PATH", os.environ["PATH"])  # as `require` completed it
        yield folder


@contextlib.contextmanager
def a_folder() -> Iterator[Path]:
    """State folder of a lab; what is up in it afterwards is torn down and checked."""
    if reason := lacking():
        pytest.skip(f"needs a machine that can run the lab: {reason}")
    # Not tmp_path: its name may be too long for the sockets in it.
    above = Path(tempfile.mkdtemp(prefix="lab-"))
    try:
        yield above / "state"
    finally:  # also if a fixture fails halfway: otherwise a forgotten lab would be left
        with lock.exclusive(above / "state"):
            compose.tear_down(above / "state")
        shutil.rmtree(above)


@pytest.fixture
def premises(lab_folder: Path) -> MakePremises:
    """Creates premises with the given number of hosts (default: 2)."""

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
            made = compose.bring_up(folder, hosts=1)
        yield made


@pytest.fixture(scope="session")
def cluster(lab: Lab) -> Cluster:
    """A Kubernetes cluster with JobSet and Kueue, in the lab of the session."""
    if lab.cluster is None:
        pytest.skip("needs a cluster, and LAB_CLOUD is set to none")
    return lab.cluster


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lifecycle.Aws]:
    """The lab's AWS API, up for the whole run; needs neither root nor namespaces."""
    folder = tmp_path_factory.mktemp("lab-aws")
    with lock.exclusive(folder):
        # It ends with a killed test run.
        yield lifecycle.bring_up(folder, lifecycle.Place(within=("setpriv", "--pdeathsig", "KILL", "--")))
        lifecycle.take_down(folder)


@pytest.fixture
def aws_api(aws_server: lifecycle.Aws, monkeypatch: pytest.MonkeyPatch) -> lifecycle.Aws:
    """The AWS API, used by boto3 in this test and by the programs it starts."""
    for name, value in aws_server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return aws_server


@pytest.fixture
def aws(aws_api: lifecycle.Aws) -> lifecycle.Aws:
    """The same, emptied before the test; takes two seconds."""
    request = urllib.request.Request(f"{aws_api.endpoint}/moto-api/reset", method="POST")  # noqa: S310
    urllib.request.urlopen(request, timeout=120).close()  # noqa: S310 the lab's own
    return aws_api
