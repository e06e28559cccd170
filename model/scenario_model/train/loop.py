"""The training loop: gradients of a step's micro-batches, one update, a progress line, and periodic
checkpoints."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from scenario_model.errors import ScenarioModelError
from scenario_model.train.batches import Batches, MicroBatch
from scenario_model.train.hardware import memory_in_use
from scenario_model.train.parallel import World, accumulating, whole
from scenario_model.train.reporter import Clock, Reporter

if TYPE_CHECKING:
    from scenario_model.train.checkpoint import Checkpoints, Progress
    from scenario_model.train.settings import Recipe

# Assumed duration of the first checkpoint.
_SAVING_SECONDS = 30.0
_AGAIN = "run it again to resume"


class StoppedError(ScenarioModelError):
    """The run was stopped: it is saved and can be resumed. Exit code 143, as for a terminated process."""

    exit_code = 128 + signal.SIGTERM


class TimeIsUpError(StoppedError):
    """It was stopped because `save_before` is near: started again, it would only stop again."""


@dataclass(slots=True, kw_only=True)
class Training:
    """The loop's inputs; `flops_per_token` and `peak_flops` (per second; None if unknown) give the MFU."""

    recipe: Recipe
    batches: Batches
    model: nn.Module
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    checkpoints: Checkpoints
    progress: Progress
    reporter: Reporter | None
    world: World
    flops_per_token: float
    peak_flops: float | None
    save_before: datetime | None = None

    def run(self) -> None:
        """Train from `progress` to the end.

        Raises ScenarioModelError if the loss or the gradient is not finite, before anything is saved;
        Stopped, after a checkpoint, on SIGTERM or if `save_before` is near; at once if it is already near.
        """
        clock, stop = Clock(), _StopRequest(self.save_before)
        with stop:
            if self.progress.step < self.batches.steps and self._agree(stop):
                raise stop.error(f"before step {self.progress.step + 1}")
            while self.progress.step < self.batches.steps:
                begun = time.perf_counter()
                loss = self.one_step(self.progress.step)
                self.progress.step += 1
                self.progress.loss = loss
                self.progress.seconds += time.perf_counter() - begun
                self._report(clock)
                self._save_if_due(stop)
                stop.lasted(time.perf_counter() - begun)

    def one_step(self, step: int) -> float:
        """Train on a step (from 0): one update. Returns the mean loss in nats per token, over all processes."""
        targets = self.batches.target_tokens(step)
        micro = list(self.batches.micro_batches(step, self.world.rank, self.world.size))
        total = torch.zeros((), dtype=torch.float64)
        for number, batch in enumerate(micro, start=1):
            with accumulating(self.model, number == len(micro)):
                loss = self.model(_on(batch, self.world.device))
                # DDP and FSDP average over processes, but the sum is needed.
                (loss * (self.world.size / max(targets, 1))).backward()
            total += loss.detach().double().cpu()
        mean = float(self.world.total(total)) / max(targets, 1)
        norm = float(whole(nn.utils.clip_grad_norm_(self.parameters.values(), self.recipe.clip_norm)))
        if not (math.isfinite(mean) and math.isfinite(norm)):
            what = f"at step {step + 1} the loss is {mean} and the gradient's norm {norm}"
            remedy = "lower recipe.learning_rate or set recipe.dtype to fp32; nothing of this step was saved"
            raise ScenarioModelError(what, where="training", remedy=remedy)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, step, self.batches.steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return mean

    def _agree(self, stop: _StopRequest) -> bool:
        """Whether any process was asked to stop: then all do."""
        return bool(self.world.total(torch.tensor(float(stop.wanted))).item())

    def _save_if_due(self, stop: _StopRequest) -> None:
        stopping = self._agree(stop)
        done = self.progress.step == self.batches.steps
        if done or stopping or self.progress.step % self.recipe.checkpoint_every_steps == 0:
            self.checkpoints.save(self.progress, self.parameters, self.optimizer)
        if stopping and not done:
            if self.reporter:
                self.reporter.close()
            raise stop.error(f"after step {self.progress.step}, which is saved")

    def _report(self, clock: Clock) -> None:
        speed = clock.after(len(self.batches.indices(self.progress.step - 1)) * self.recipe.sequence_length)
        if self.reporter is None:
            return
        left = (self.batches.steps - self.progress.step) * self.recipe.sequences_per_step
        peak = self.peak_flops and self.peak_flops * self.world.size
        self.reporter.step(
            step=self.progress.step,
            of=self.batches.steps,
            loss=self.progress.loss,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            tokens_per_s=round(speed, 1),
            mfu=round(speed * self.flops_per_token / peak, 4) if peak else None,
            memory_bytes=memory_in_use(self.world.device),
            seconds_left=round(left * self.recipe.sequence_length / speed, 1),
        )


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step (from 0): linear warm-up to the peak, then a cosine to a tenth of it."""
    warmup = math.ceil(recipe.warmup * steps)
    peak = recipe.peak_learning_rate
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def make_optimizer(parameters: dict[str, nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 2019) over the parameters that train."""
    return torch.optim.AdamW(
        list(parameters.values()),
        lr=recipe.peak_learning_rate,
        betas=(0.9, 0.99),
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _on(batch: MicroBatch, device: torch.device) -> MicroBatch:
    def move(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    return MicroBatch(move(batch.tokens), move(batch.targets), move(batch.positions), batch.lengths)


class _StopRequest:
    """While active, records SIGTERM instead of ending the process, and when `save_before` is near."""

    def __init__(self, save_before: datetime | None) -> None:
        self._save_before, self._longest = save_before, 0.0
        self._came = False

    @property
    def wanted(self) -> bool:
        """Whether this process was asked to stop."""
        return self._came or self._is_near()

    def lasted(self, seconds: float) -> None:
        """Record the duration of a step with its checkpoint."""
        self._longest = max(self._longest, seconds)

    def error(self, when: str) -> StoppedError:
        """The error that ends the run."""
        if self._is_near():
            return TimeIsUpError(f"stopped because of save_before {self._save_before} {when}", remedy=_AGAIN)
        return StoppedError(f"stopped by SIGTERM {when}", remedy=_AGAIN)

    def _is_near(self) -> bool:
        """Whether another step and checkpoint may not finish in time."""
        if self._save_before is None:
            return False
        left = (self._save_before - datetime.now(UTC)).total_seconds()
        return left <= _SAVING_SECONDS + 2 * self._longest

    def __enter__(self) -> None:
        self._before: Any = signal.signal(signal.SIGTERM, self._note)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self._came = True
