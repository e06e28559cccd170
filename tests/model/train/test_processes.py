"""Several processes under torchrun: the same training as one, and FSDP that stops and goes on. CPU and gloo
only."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scenario_model.config import load_file as load_config
from scenario_model.data.packing import Packed
from scenario_model.errors import InputError
from scenario_model.foundation.importer import import_foundation
from scenario_model.train.batches import Batches
from scenario_model.train.parallel import World, choose_strategy
from scenario_model.train.plan import make_plan
from scenario_model.train.run import train
from scenario_model.train.settings import Recipe, TrainSettings

Configure = Callable[..., Path]
Folder = Callable[[Path], Path]


def torchrun(config: Path) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return [*launcher, "--master-port", str(port), "-m", "scenario_model", "train", "--config", str(config)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "progress.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        {"strategy": "ddp"},
        {"strategy": "fsdp", "method": "full", "learning_rate": 1e-3},
        {"strategy": "fsdp", "dtype": "bf16"},
        # Each half of these is in one of those above.
        pytest.param({"strategy": "fsdp"}, marks=pytest.mark.soak),
        pytest.param({"strategy": "ddp", "dtype": "bf16"}, marks=pytest.mark.soak),
    ],
    ids=lambda recipe: "-".join(map(str, recipe.values())),
)
def test_two_processes_train_as_one_does(
    configure: Configure, run_folder: Folder, recipe: dict[str, object]
) -> None:
    alone, together = (
        configure(runs="alone", **{**recipe, "strategy": "auto"}),
        configure(runs="two", **recipe),
    )
    train(make_plan(load_config(TrainSettings, alone)))
    done = subprocess.run(torchrun(together), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("trained: ") == 1, "the leader alone says what came out, to the last line"
    tolerance = 2e-3 if recipe.get("dtype") == "bf16" else 1e-5
    assert losses(run_folder(together)) == pytest.approx(losses(run_folder(alone)), rel=tolerance)


@pytest.fixture
def dropping_foundation(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The tiny model with dropout: each process draws masks of its own."""
    source = Path(shutil.copytree(tiny_checkpoint, tmp_path / "dropping"))
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "attention_dropout": 0.3}))
    import_foundation(source, tmp_path / "dropping-foundation", max_perplexity=1e9)
    return tmp_path / "dropping-foundation"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [pytest.param("fsdp", marks=pytest.mark.soak), "ddp"])
def test_several_save_on_sigterm_and_go_on_bit_for_bit(
    configure: Configure, run_folder: Folder, dropping_foundation: Path, strategy: str
) -> None:
    recipe = {"strategy": strategy, "max_steps": 30, "epochs": 20, "checkpoint_every_steps": 1000}
    whole, stopped = configure(runs="whole", **recipe), configure(runs="stopped", **recipe)
    for path in (whole, stopped):
        path.write_text(json.dumps({**json.loads(path.read_text()), "foundation": str(dropping_foundation)}))
    assert subprocess.run(torchrun(whole), env=ENVIRONMENT, capture_output=True).returncode == 0
    first = subprocess.Popen(torchrun(stopped), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    progress = Path(json.loads(stopped.read_text())["runs"])
    while not any(path.read_text() for path in progress.glob("*/progress.jsonl")):
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGTERM)
    _, said = first.communicate(timeout=120)
    assert "stopped by SIGTERM" in said
    folder = run_folder(stopped)
    (kept,) = (folder / "checkpoints").glob("step-*")
    writers = {"fsdp": (0, 1), "ddp": (0,)}[strategy]
    names = {"complete.json", *(f"rank-{rank}.safetensors" for rank in writers)}
    assert {path.name for path in kept.iterdir()} == names
    assert subprocess.run(torchrun(stopped), env=ENVIRONMENT, capture_output=True).returncode == 0
    results = [
        json.loads((path / "result.json").read_text())["model"] for path in (folder, run_folder(whole))
    ]
    assert results[0] == results[1]


def test_every_process_gets_its_share_and_all_of_them_the_whole_step() -> None:
    count, length = 11, 16
    tokens = torch.arange(count).unsqueeze(1).expand(count, length).contiguous()
    packed = Packed(tokens, tokens.clone(), torch.arange(length).expand(count, length).contiguous())
    recipe = Recipe(sequence_length=length, tokens_per_step=4 * length, micro_batch=1, epochs=2)
    batches = Batches.of(packed, recipe)
    assert batches.steps == 6
    for step in range(batches.steps):
        alone = [int(m.tokens[0, 0]) for m in batches.micro_batches(step, 0, 1)]
        shared, number = [], set()
        for rank in range(3):
            mine = list(batches.micro_batches(step, rank, 3))
            number.add(len(mine))
            shared += [int(m.tokens[0, 0]) for m in mine if bool((m.targets >= 0).any())]
        assert shared == alone
        assert len(number) == 1


def test_each_epoch_sees_every_sequence_once_in_an_order_of_its_own() -> None:
    tokens = torch.zeros(7, 16, dtype=torch.int64)
    recipe = Recipe(sequence_length=16, tokens_per_step=32, epochs=3, seed=5)
    batches = Batches.of(Packed(tokens, tokens, tokens), recipe)
    seen = [index for step in range(batches.steps) for index in batches.indices(step)]
    epochs = [seen[start : start + 7] for start in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_strategy_follows_from_what_fits() -> None:
    one, two = (World(0, size, torch.device("cpu")) for size in (1, 2))
    assert choose_strategy("auto", one, 10**12, 10**9) == "single"
    assert choose_strategy("auto", two, 10**8, 10**9) == "ddp"
    assert choose_strategy("auto", two, 10**9, 10**9) == "fsdp"
    with pytest.raises(InputError, match="one process"):
        choose_strategy("fsdp", one, 1, 2)
