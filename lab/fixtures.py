"""pytest fixtures for tests that need a lab: `premises(hosts=2)`, `wan`, `aws`.

Each test has premises of its own, which take seconds, and whose teardown check is part of the test; the AWS
API is one for the whole run, emptied before each test. On a machine that cannot give one the test is skipped
with the reason.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from lab import lock
from lab.aws import lifecycle
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


@pytest.fixture(scope="session")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lifecycle.Aws]:
    """The lab's AWS API, up for the whole run; needs neither root nor namespaces."""
    folder = tmp_path_factory.mktemp("lab-aws")
    with lock.exclusive(folder):
        # A test run that is killed takes it along.
        yield lifecycle.bring_up(folder, within=("setpriv", "--pdeathsig", "KILL", "--"))
        lifecycle.take_down(folder)


@pytest.fixture
def aws_api(aws_server: lifecycle.Aws, monkeypatch: pytest.MonkeyPatch) -> lifecycle.Aws:
    """The AWS API, to which boto3 speaks in this test, as do the programs that it starts."""
    for name, value in aws_server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return aws_server


@pytest.fixture
def aws(aws_api: lifecycle.Aws) -> lifecycle.Aws:
    """The same, emptied before the test: two seconds."""
    request = urllib.request.Request(f"{aws_api.endpoint}/moto-api/reset", method="POST")  # noqa: S310
    urllib.request.urlopen(request, timeout=120).close()  # noqa: S310 the lab's own
    return aws_api
