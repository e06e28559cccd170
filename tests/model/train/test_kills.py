"""kill -9 of training: at every write, fsync and rename of a save, and at random moments. Not a bit may
differ."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.campaigns import campaign

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLED = -signal.SIGKILL
needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not here: apt-get install strace"
)
# What a save does to the disk.
SAVING = "write,pwrite64,ftruncate,fsync,rename,renameat,renameat2,unlink,unlinkat,rmdir"
LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)")


@pytest.fixture
def quick(configure: Callable[..., Path]) -> Callable[[str], Path]:
    """Runs that only differ in the folder they are in."""
    return lambda runs: configure(runs=runs, max_steps=3, tokens_per_step=64, micro_batch=1)


@pytest.fixture
def uninterrupted(warm: Any, quick: Callable[[str], Path], run_folder: Callable[[Path], Path]) -> str:
    """The digest of the trained model when nothing goes wrong."""
    config = quick("uninterrupted")
    assert warm.run("train", "--config", str(config)) == 0, warm.log.read_text()
    return trained(run_folder(config))


def trained(folder: Path) -> str:
    digest: str = json.loads((folder / "result.json").read_text())["model"]
    return digest


def trace(warm: Any, config: Path, log: Path, *inject: str) -> int:
    """Run the training under strace from its first moment; returns its exit code."""
    child = warm.start("train", "--config", str(config), stopped=True)
    command = ["strace", "-q", "-y", "-o", str(log), "-e", f"trace={SAVING}", *inject, "-p", str(child)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text():
        if tracer.poll() is not None or time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            warm.wait()
            pytest.skip(f"strace may not trace here: {tracer.stderr.read() if tracer.stderr else ''}")
        time.sleep(0.01)
    # Sent while strace is still attaching it is lost, or comes before the stop that strace hands on: so it is
    # sent until the log shows that the training works.
    while tracer.poll() is None and not any(map(LINE.match, log.read_text().splitlines())):
        os.kill(child, signal.SIGCONT)
        time.sleep(0.05)
    code: int = warm.wait()
    tracer.communicate(timeout=30)
    return code


def moments(log: Path) -> list[tuple[str, int]]:
    """(system call, its number among its kind) of everything that the second save and the publishing do."""
    counts: dict[str, int] = {}
    found, saves = [], 0
    for line in log.read_text().splitlines():
        match = LINE.match(line)
        if not match:
            continue
        call, arguments = match.groups()
        counts[call] = counts.get(call, 0) + 1
        if "/runs-" not in arguments and "/traced/" not in arguments:
            continue
        saves += call == "rename" and "/step-" in arguments
        second_save = saves == 1 or (saves == 2 and call == "rename" and "/step-" in arguments)
        publishing = saves == 3
        if (second_save or publishing) and "progress.jsonl" not in arguments:
            found.append((call, counts[call]))
    return found


@needs_strace
@campaign("share", 4, soak=1)
def test_killed_at_every_write_fsync_and_rename_of_a_save_it_resumes_bit_for_bit(
    share: int,
    warm: Any,
    quick: Callable[[str], Path],
    run_folder: Callable[[Path], Path],
    uninterrupted: str,
    tmp_path: Path,
) -> None:
    config = quick("traced")
    assert trace(warm, config, tmp_path / "trace.log") == 0, warm.log.read_text()
    assert trained(run_folder(config)) == uninterrupted
    points = moments(tmp_path / "trace.log")
    assert {"write", "fsync", "rename"} <= {call for call, _ in points}
    assert len(points) >= 15
    for number, (call, when) in enumerate(points[::share]):
        config = quick(f"runs-{number}")
        inject = ("-e", f"inject={call}:signal=KILL:when={when}")
        code = trace(warm, config, tmp_path / "kill.log", *inject)
        assert code == KILLED, f"{call} {when}: {warm.log.read_text()}"
        assert warm.run("train", "--config", str(config)) == 0, f"{call} {when}: {warm.log.read_text()}"
        assert trained(run_folder(config)) == uninterrupted, f"{call} {when}"
        shutil.rmtree(run_folder(config).parent)


@campaign("wanted", 5, soak=30)
def test_killed_at_random_moments_it_resumes_bit_for_bit(
    wanted: int,
    warm: Any,
    quick: Callable[[str], Path],
    run_folder: Callable[[Path], Path],
    uninterrupted: str,
) -> None:
    dice = random.Random(20)
    begun = time.monotonic()
    assert warm.run("train", "--config", str(quick("timed"))) == 0
    longest = time.monotonic() - begun
    kills, number = 0, 0
    while kills < wanted:
        config = quick(f"runs-{number}")
        number += 1
        code = KILLED
        while code == KILLED:
            child = warm.start("train", "--config", str(config))
            time.sleep(dice.uniform(0, longest))
            with contextlib.suppress(ProcessLookupError):  # it was done before
                os.kill(child, signal.SIGKILL)
            code = warm.wait()
            kills += code == KILLED
            if kills >= wanted and code == KILLED:
                code = warm.run("train", "--config", str(config))
        assert code == 0, warm.log.read_text()
        assert trained(run_folder(config)) == uninterrupted


@needs_strace
@pytest.mark.parametrize(("call", "when"), [("fsync", 9), pytest.param("rename", 6, marks=pytest.mark.soak)])
def test_the_command_as_a_user_starts_it_survives_a_kill(
    quick: Callable[[str], Path],
    run_folder: Callable[[Path], Path],
    uninterrupted: str,
    call: str,
    when: int,
) -> None:
    config = quick("command")
    command = [sys.executable, "-m", "scenario_model", "train", "--config", str(config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    inject = f"inject={call}:signal=KILL:when={when}"
    strace = ["strace", "-q", "-o", os.devnull, "-e", f"trace={call}", "-e", inject]
    killed = subprocess.run([*strace, *command], env=environment, capture_output=True, text=True)
    assert killed.returncode in (KILLED, 128 + signal.SIGKILL), killed.stderr
    assert not (run_folder(config) / "result.json").exists()
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert trained(run_folder(config)) == uninterrupted
