"""A service without root, kept by a real supervisord."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible.module_utils.own_processes import own_processes
from ansible.module_utils.user_services import ServiceError, Supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.slow


@pytest.fixture
def definition(tmp_path: Path) -> Path:
    """A program that says its number and sleeps, in a definition like those that the role writes."""
    path = tmp_path / "sleeper.conf"
    (tmp_path / "logs").mkdir()
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    path.write_text(f"""
[supervisord]
logfile = {tmp_path}/logs/supervisor.log
pidfile = {tmp_path}/sleeper.pid
[program:sleeper]
command = {sys.executable} -c "{program}"
environment = SCENARIO_SERVICE="{path}",SCENARIO_FINGERPRINT="first"
autorestart = true
startsecs = 0
stdout_logfile = {tmp_path}/logs/sleeper.log
""")
    return path


@pytest.fixture
def sleeper(definition: Path) -> Iterator[Supervised]:
    service = Supervised(definition, sys.executable)
    service.start()
    eventually(lambda: len(workers(definition)) == 1)
    yield service
    service.stop(5)


def workers(definition: Path) -> list[int]:
    return [p.pid for p in own_processes() if p.environment.get("SCENARIO_SERVICE") == str(definition)]


def supervisors(definition: Path) -> list[int]:
    return [p.pid for p in own_processes() if str(definition) in p.command]


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_started_service_runs_and_tells_what_it_was_started_with(sleeper: Supervised) -> None:
    assert sleeper.running()
    assert sleeper.fingerprint() == "first"


def test_a_killed_program_comes_back_by_itself(sleeper: Supervised, definition: Path) -> None:
    (before,) = workers(definition)
    os.kill(before, signal.SIGKILL)
    assert sleeper.running()
    eventually(lambda: len(workers(definition)) == 1 and workers(definition) != [before])


def test_after_a_killed_supervisord_a_start_leaves_one_program_not_two(
    sleeper: Supervised, definition: Path
) -> None:
    (orphan,) = workers(definition)
    (supervisor,) = supervisors(definition)
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not supervisors(definition))
    assert not sleeper.running()
    sleeper.start()
    eventually(lambda: len(workers(definition)) == 1)
    assert workers(definition) != [orphan]


def test_a_stopped_service_leaves_no_process(sleeper: Supervised, definition: Path) -> None:
    assert sleeper.stop(5)
    assert not workers(definition)
    assert not supervisors(definition)
    assert not sleeper.stop(5)


def test_a_service_inherits_nothing_but_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, definition: Path
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "planted")
    service = Supervised(definition, sys.executable)
    service.start()
    eventually(lambda: len(workers(definition)) == 1)
    try:
        (worker,) = workers(definition)
        assert b"planted" not in Path(f"/proc/{worker}/environ").read_bytes()
    finally:
        service.stop(5)


def test_a_definition_that_supervisord_refuses_is_an_error_that_names_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("[program:x]\n")
    with pytest.raises(ServiceError, match=r"broken\.conf"):
        Supervised(broken, sys.executable).start()
