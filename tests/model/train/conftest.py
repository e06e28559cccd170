"""A tiny model, a little text, and runs of the real command out of a process that has torch in memory
already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL: dict[str, Any] = {
    "rank": 4,
    "learning_rate": 1e-2,
    "sequence_length": 64,
    "tokens_per_step": 256,
    "micro_batch": 2,
    "checkpoint_every_steps": 1,
    "max_steps": 5,
    "dtype": "fp32",
}
WORDS = [
    "the",
    "old",
    "river",
    "carries",
    "sand",
    "and",
    "light",
    "past",
    "seven",
    "quiet",
    "towns",
    "toward",
    "a",
    "wide",
    "grey",
    "sea",
    "at",
    "dawn",
]


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """Training makes torch repeatable for its whole process; other tests get it back as it was."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


@pytest.fixture
def text_folder(tmp_path: Path) -> Path:
    """Twenty-four documents of made-up sentences, no two alike."""
    folder = tmp_path / "text"
    folder.mkdir()
    for number in range(24):
        words = [WORDS[(number * 7 + place * (number + 3)) % len(WORDS)] for place in range(120)]
        (folder / f"{number:02}.txt").write_text(f"Document {number}. " + " ".join(words) + "\n")
    return folder


@pytest.fixture
def configure(tiny_foundation: Path, text_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a training configuration for the tiny model; keywords change the recipe, `runs` the folder."""

    def write(*, runs: str = "runs", **recipe: Any) -> Path:
        path = tmp_path / f"{runs}.json"
        content = {
            "foundation": str(tiny_foundation),
            "runs": str(tmp_path / runs),
            "data": {"kind": "text", "path": str(text_folder), "held_out": 0.4},
            "recipe": {**SMALL, **recipe},
        }
        path.write_text(json.dumps(content))
        return path

    return write


class Warm:
    """A process with torch imported that forks one child for each command: seconds become milliseconds.

    Each child runs the real command line, `scenario_model.cli.main`, in a process of its own that may be
    killed.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "warm_process.py", log],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._read() == "ready"

    def start(self, *arguments: str, stopped: bool = False) -> int:
        """Start `scenario-model arguments…`; returns its process id. `stopped`: it waits for SIGCONT
        first."""
        self.log.write_bytes(b"")  # here: what the last one said must not be taken for what this one says
        self._write({"arguments": arguments, "stopped": stopped})
        return int(self._read())

    def wait(self) -> int:
        """The exit code of the command that was started last; negative if a signal ended it."""
        return int(self._read())

    def run(self, *arguments: str) -> int:
        self.start(*arguments)
        return self.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    process = Warm(tmp_path_factory.mktemp("warm") / "log")
    yield process
    process.close()


@pytest.fixture
def run_folder() -> Callable[[Path], Path]:
    """The one run's folder of a configuration."""

    def find(config: Path) -> Path:
        (folder,) = Path(json.loads(config.read_text())["runs"]).iterdir()
        return folder

    return find
