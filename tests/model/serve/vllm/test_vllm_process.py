"""vLLM's process: private, offline, and gone when the server is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scenario_model.serve.vllm import guard
from scenario_model.serve.vllm.command import arguments, environment
from scenario_model.serve.vllm.process import VllmProcess
from scenario_model.serve.vllm.settings import InstalledVllm
from tests.model.serve.vllm.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.serve.vllm.conftest import Environment

_SERVER = """
import sys, time
from pathlib import Path
from scenario_model.serve.vllm.process import VllmProcess
from scenario_model.serve.vllm.settings import InstalledVllm
process = VllmProcess(Path("/model"), InstalledVllm(kind="vllm", environment=Path(sys.argv[1])), None)
print(process.wait_until_up(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def running(environment: Environment, tmp_path: Path) -> Iterator[VllmProcess]:
    settings = InstalledVllm(kind="vllm", environment=environment.folder)
    process = VllmProcess(tmp_path / "model", settings, tmp_path / "cache")
    assert process.wait_until_up() == 512
    yield process
    process.stop()
    process.stop()


def test_it_is_reached_by_a_socket_in_a_folder_of_the_users_alone(
    running: VllmProcess, environment: Environment
) -> None:
    assert running.socket.is_socket()
    assert running.socket.parent.stat().st_mode & 0o777 == 0o700
    for process in environment.processes():
        assert [c for c in process.net_connections("inet") if c.status == "LISTEN"] == []


def test_it_is_offline_calls_nobody_and_writes_to_two_folders(
    running: VllmProcess, environment: Environment, tmp_path: Path
) -> None:
    (seen,) = environment.seen("environment")
    told = ("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
    assert [seen[name] for name in told] == ["1"] * 4
    assert seen["TMPDIR"] == str(running.socket.parent)
    kept = str(tmp_path / "cache" / "vllm")
    for name in ("HOME", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        assert seen[name].startswith(kept)
    assert (tmp_path / "cache" / "vllm").stat().st_mode & 0o777 == 0o700


def test_neither_the_servers_python_path_nor_a_key_reaches_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VLLM_API_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("VLLM_ATTENTION_BACKEND", "FLASHINFER")
    settings = InstalledVllm(kind="vllm", environment=tmp_path)
    given = environment(settings, tmp_path / "private", tmp_path / "cache")
    assert {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VLLM_API_KEY"}.isdisjoint(given)
    assert given["VLLM_ATTENTION_BACKEND"] == "FLASHINFER"
    assert given["PATH"].startswith(f"{tmp_path}/bin:")


def test_settings_become_arguments(environment: Environment) -> None:
    settings = InstalledVllm(
        kind="vllm",
        environment=environment.folder,
        dtype="bf16",
        max_sequences=8,
        max_context=1024,
        gpu_memory_utilization=0.5,
        tensor_parallel=2,
    )
    given = arguments(Path("/release"), settings, Path("/private/http.sock"))
    assert given[2:4] == ["serve", "/release"]
    assert {
        "--uds=/private/http.sock",
        "--load-format=safetensors",
        "--dtype=bfloat16",
        "--max-num-seqs=8",
        "--max-model-len=1024",
        "--gpu-memory-utilization=0.5",
        "--tensor-parallel-size=2",
    } <= set(given)
    assert not [word for word in given if "trust" in word or "key" in word]
    without = InstalledVllm(kind="vllm", environment=environment.folder)
    assert "--max-model-len=-1" in arguments(Path("/release"), without, Path("/s"))


def test_stopped_it_is_gone_with_its_workers_and_its_folder(
    running: VllmProcess, environment: Environment
) -> None:
    assert len(environment.processes()) == 3
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < guard.GRACE_SECONDS + 4
    assert environment.processes() == []
    assert running.ended
    assert not running.socket.parent.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_a_server_that_is_killed(
    environment: Environment, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", _SERVER, str(environment.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"512\n"
        assert len(environment.processes()) == 4
        os.kill(server.pid, number)
    wait_for(lambda: environment.processes() == [])
    (seen,) = environment.seen("environment")
    assert not Path(seen["TMPDIR"]).exists()


def test_the_guard_refuses_to_kill_a_process_group_that_is_not_its_own() -> None:
    done = subprocess.run(
        [sys.executable, guard.__file__, "/nowhere", "true"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "needs its own" in done.stderr) == (1, True)
