"""The adapter over a stand-in for vLLM in a process of its own."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.serve.vllm.engine import VllmEngine
from scenario_model.serve.vllm.settings import InstalledVllm
from tests.processes import processes_naming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import psutil


class Environment:
    """A folder with `bin/python` and `bin/vllm`, of which the latter is the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binaries = folder / "bin"
        self.binaries.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("stand_in_vllm.py"), self.binaries / "vllm")
        python = self.binaries / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)

    def behave(self, **behaviour: Any) -> None:
        """Change what the stand-in does from now on."""
        draft = self.binaries / "behaviour.draft"
        draft.write_text(json.dumps(behaviour))
        draft.rename(self.binaries / "behaviour.json")

    def seen(self, what: str) -> list[Any]:
        """What the stand-in noted of one kind."""
        file = self.binaries / "seen.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [seen[what] for seen in map(json.loads, lines) if what in seen]

    def processes(self) -> list[psutil.Process]:
        """Every living process that names this environment: guard, stand-in, worker."""
        return processes_naming(self.folder)


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    """Wait until it holds; the machine may be busy."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


@pytest.fixture
async def engine(
    environment: Environment, tiny_foundation: Path, tmp_path: Path
) -> AsyncIterator[VllmEngine]:
    """The adapter over the stand-in, with two slots and two places to wait."""
    settings = InstalledVllm(
        kind="vllm", environment=environment.folder, max_sequences=2, max_waiting=2, max_context=512
    )
    engine = VllmEngine(tiny_foundation, settings, tmp_path / "cache")
    engine.start()
    yield engine
    await engine.drain(0)
    engine.stop()
    assert environment.processes() == []
