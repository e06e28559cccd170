"""Our training loop beside the Hugging Face Trainer: same model, same batches, same arithmetic, one process.

Rounds alternate between the two, so that whatever else the machine does meets both alike. Each round gives
one ratio; the spread of the ratios is shown. Speed is also set against the matmul speed measured in the
same round (MFU). The Trainer's documents see each other across borders, which costs it no mask; ours are
kept apart.

    python -m benchmarks.training --foundation DIR [--rounds 5] [--steps 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch import nn

from scenario_model.data.packing import IGNORED, Packed, pack
from scenario_model.data.prepare import prepare
from scenario_model.data.settings import PythonReference
from scenario_model.tokens.loading import load_tokenizer
from scenario_model.train import hardware
from scenario_model.train.batches import Batches
from scenario_model.train.checkpoint import Checkpoints, Progress
from scenario_model.train.loop import Training, learning_rate, make_optimizer
from scenario_model.train.model import load_model, trainable
from scenario_model.train.parallel import World
from scenario_model.train.run import flops_per_token
from scenario_model.train.settings import Recipe

SEQUENCES, LENGTH = 4, 512


@dataclass
class Speeds:
    """Of one method and type, per round: tokens a second, and floating-point operations a second of a
    matmul."""

    method: str
    dtype: str
    flops_per_token: float
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)
    first_losses: dict[str, float] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Medians, the ratio with its spread, and MFU."""
        ratios = [mine / theirs for mine, theirs in zip(self.ours, self.peer, strict=True)]
        ours, peer, peak = (statistics.median(values) for values in (self.ours, self.peer, self.peak))
        return {
            "method": self.method,
            "dtype": self.dtype,
            "ours_tokens_per_s": round(ours, 1),
            "peer_tokens_per_s": round(peer, 1),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_lowest": round(min(ratios), 3),
            "ratio_highest": round(max(ratios), 3),
            "rounds": len(ratios),
            "matmul_gflops": round(peak / 1e9, 1),
            "ours_mfu": round(ours * self.flops_per_token / peak, 3),
            "peer_mfu": round(peer * self.flops_per_token / peak, 3),
            "first_loss": self.first_losses,
        }


class Ours:
    """Our loop, a few steps at a time."""

    def __init__(self, foundation: Path, recipe: Recipe, packed: Packed, folder: Path) -> None:
        world = World(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        torch.manual_seed(recipe.seed)
        model = load_model(foundation, recipe, bf16=recipe.dtype == "bf16").to(world.device)
        self.flops = flops_per_token(model)
        parameters = trainable(model)
        self._training = Training(
            recipe=recipe,
            batches=Batches.of(packed, recipe),
            model=model,
            parameters=parameters,
            optimizer=make_optimizer(parameters, recipe),
            checkpoints=Checkpoints(folder, world, "single"),
            progress=Progress(),
            reporter=None,
            world=world,
            flops_per_token=self.flops,
            peak_flops=None,
        )
        self._next = 0
        self.first_loss = 0.0

    def run(self, steps: int) -> float:
        """Seconds that `steps` steps take, after one that is not counted."""
        torch.use_deterministic_algorithms(True)
        loss = self._training.one_step(self._next)
        self.first_loss = self.first_loss or loss
        begun = time.perf_counter()
        for step in range(self._next + 1, self._next + 1 + steps):
            self._training.one_step(step)
        self._next += steps + 1
        torch.use_deterministic_algorithms(False)
        return time.perf_counter() - begun


class Peer:
    """The Hugging Face Trainer, a few steps at a time."""

    def __init__(self, foundation: Path, recipe: Recipe, packed: Packed, folder: Path) -> None:
        self._recipe, self._folder = recipe, folder
        self._batches = Batches.of(packed, recipe)
        self._packed = packed
        self._model = _peer_model(foundation, recipe)
        self._next = 0
        self.first_loss = 0.0

    def run(self, steps: int) -> float:
        """Seconds that `steps` steps take, after one that is not counted."""
        from transformers import Trainer, TrainerCallback

        marks: list[float] = []

        class Watch(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, *_: Any, **__: Any) -> None:
                marks.append(time.perf_counter())

        class InOrder(Trainer):  # type: ignore[misc]
            def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
                return torch.utils.data.SequentialSampler(self.train_dataset)

        rows = [i for step in range(self._next, self._next + steps + 1) for i in self._batches.indices(step)]
        self._next += steps + 1
        trainer = InOrder(
            model=self._model,
            args=_arguments(self._recipe, self._folder, steps + 1),
            train_dataset=[self._row(i) for i in rows],
            callbacks=[Watch],
        )
        outcome = trainer.train()
        self.first_loss = self.first_loss or float(outcome.training_loss)
        return marks[-1] - marks[0]

    def _row(self, index: int) -> dict[str, torch.Tensor]:
        tokens = self._packed.tokens[index]
        labels = tokens.clone()
        # The Trainer's labels are the tokens themselves; it shifts them.
        labels[1:][self._packed.targets[index][:-1] == IGNORED] = IGNORED
        return {"input_ids": tokens, "labels": labels}


def _peer_model(foundation: Path, recipe: Recipe) -> nn.Module:
    """As the documentation of transformers and peft has it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    frozen_bf16 = recipe.dtype == "bf16" and recipe.method == "lora"
    dtype = torch.bfloat16 if frozen_bf16 else torch.float32
    model = AutoModelForCausalLM.from_pretrained(foundation, dtype=dtype, local_files_only=True)
    model.config.use_cache = False
    if recipe.method == "full":
        return model  # type: ignore[no-any-return]
    torch.manual_seed(recipe.seed)
    config = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)  # type: ignore[no-any-return]


def _arguments(recipe: Recipe, folder: Path, steps: int) -> Any:
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=SEQUENCES,
        learning_rate=learning_rate(recipe, recipe.sequences_per_step, 1000),
        optim="adamw_torch_fused",
        max_grad_norm=recipe.clip_norm,
        bf16=recipe.dtype == "bf16",
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def compare(foundation: Path, method: str, dtype: str, rounds: int, steps: int) -> dict[str, Any]:
    """Measure one method in one number type; see `Speeds.summary`."""
    settings = {"method": method, "dtype": dtype, "epochs": 100, "sequence_length": LENGTH}
    recipe = Recipe(tokens_per_step=SEQUENCES * LENGTH, micro_batch=SEQUENCES, **settings)  # type: ignore[arg-type]
    tokenizer = load_tokenizer(foundation)
    packed = pack(prepare(PythonReference(), lambda: tokenizer).training, tokenizer, LENGTH)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(foundation, recipe, packed, Path(folder))
        peer = Peer(foundation, recipe, packed, Path(folder))
        speeds = Speeds(method, dtype, ours.flops)
        for number in range(rounds):
            speeds.peak.append(hardware.matmul_peak(device, kind))
            tokens = steps * SEQUENCES * LENGTH
            for side, noted in ((ours, speeds.ours), (peer, speeds.peer))[:: 1 if number % 2 else -1]:
                noted.append(tokens / side.run(steps))
            print(f"{method} {dtype} {speeds.ours[-1]:.0f} {speeds.peer[-1]:.0f} tokens/s", file=sys.stderr)
        speeds.first_losses = {"ours": ours.first_loss, "peer_mean_of_round": peer.first_loss}
    return speeds.summary()


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table."""
    names = (
        "method",
        "type",
        "ours, tokens/s",
        "Trainer, tokens/s",
        "ratio (lowest to highest)",
        "MFU",
        "its MFU",
    )
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    lines += [
        f"| {r['method']} | {r['dtype']} | {r['ours_tokens_per_s']:.0f} | {r['peer_tokens_per_s']:.0f} "
        f"| {r['ratio']:.2f} ({r['ratio_lowest']:.2f} to {r['ratio_highest']:.2f}) "
        f"| {r['ours_mfu']:.0%} | {r['peer_mfu']:.0%} |"
        for r in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Compare LoRA and full fine-tuning, in the type that is faster here (or the ones given)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--foundation", type=Path, required=True, help="an imported foundation model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps of 2048 tokens that each round times")
    parser.add_argument("--methods", nargs="+", default=["lora", "full"])
    parser.add_argument("--dtypes", nargs="+", help="bf16 or fp32; default: the faster")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtypes = chosen.dtypes or ["bf16" if hardware.bf16_is_faster(device) else "fp32"]
    results = [
        compare(chosen.foundation, method, dtype, chosen.rounds, chosen.steps)
        for method in chosen.methods
        for dtype in dtypes
    ]
    if chosen.json:
        machine = {"threads": torch.get_num_threads(), "load": os.getloadavg(), "torch": torch.__version__}
        chosen.json.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
