"""A training run from its plan to its result: lock, resume, train, publish."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import shutil
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from scenario_model import atomic_io, logs
from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused, ScenarioModelError
from scenario_model.foundation.importer import verify_foundation
from scenario_model.train import fabric, hardware, parallel
from scenario_model.train.batches import Batches
from scenario_model.train.checkpoint import Checkpoints
from scenario_model.train.drift_baseline import keep_baseline
from scenario_model.train.hooks import NO_HOOKS, TrainingHooks
from scenario_model.train.loop import Training, make_optimizer
from scenario_model.train.model import LossModel, load_model, save_trained, trainable
from scenario_model.train.preflight import check_hardware
from scenario_model.train.reporter import Reporter
from scenario_model.train.tokenized import tokenized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.train.parallel import World
    from scenario_model.train.plan import Plan, RunFolder

_APART = 1_000_003  # between the seeds of two processes

PEER_TIMEOUT_S = 600.0
"""Timeout waiting for another process: longer than any solo work, such as saving a checkpoint."""


def train(
    plan: Plan, peer_timeout_s: float = PEER_TIMEOUT_S, *, hooks: TrainingHooks = NO_HOOKS
) -> tuple[dict[str, Any], bool]:
    """Execute a planned run, from its newest checkpoint if it has one; returns (result.json's content,
    changed).

    Under torchrun every process calls it; `peer_timeout_s` is the timeout waiting for another one. Only the leader's
    host has the run's folder. If another process holds the run's lock, waits for it.
    """
    folder = plan.folder
    fabric.have_it_logged()
    with parallel.joined_world(peer_timeout_s) as world:
        if world.size != plan.processes:
            what = f"the run is planned for {plan.processes} processes, but there are {world.size}"
            raise InputError(what, where="training", remedy="start all of them with torchrun")
        with _alone(folder, world):
            _begin_together(world, hooks)
            fabric.insist(world)
            if world.size > 1 or world.device.type == "cuda":
                check_hardware(world)
            done = world.share(_result(folder) if world.leads else None)
            if done is None:
                done = _train(plan, world, hooks)
            elif world.leads:
                shutil.rmtree(folder.checkpoints, ignore_errors=True)
                return done, False
            return done, True


def _begin_together(world: World, hooks: TrainingHooks) -> None:
    """Raise Refused in every process if the leader's hook does."""
    refusal = None
    if world.leads and hooks.begins:
        try:
            hooks.begins()
        except Refused as error:
            refusal = (error.what, error.where, error.remedy)
    if told := world.share(refusal):
        what, where, remedy = told
        raise Refused(what, where=where, remedy=remedy)


def _train(plan: Plan, world: World, hooks: TrainingHooks) -> dict[str, Any]:
    _insist_on_the_same(plan, world)
    recipe = plan.settings.recipe
    with atomic_io.disk_errors(plan.folder.root):
        environment = world.share(_begin(plan, world) if world.leads else None)
    _repeatable(recipe.seed, environment["threads"])
    bf16 = environment["dtype"] == "bf16"
    with atomic_io.disk_errors(plan.folder.root):
        packed = tokenized(plan, world)
    if world.leads:
        for note in (*plan.notes, *packed.notes):
            logs.say(note)
    batches = Batches.of(packed, recipe)
    model = load_model(plan.settings.foundation, recipe, bf16=bf16)
    flops = flops_per_token(model)
    memory = world.least(hardware.memory_there(world.device))
    strategy = parallel.choose_strategy(recipe.strategy, world, _training_bytes(model), memory)
    spread = parallel.spread(model, strategy, world)
    parameters = trainable(model)
    optimizer = make_optimizer(parameters, recipe)
    # From here on each process draws its own: adapters begin alike in all, dropout's masks do not.
    torch.manual_seed((recipe.seed + world.rank * _APART) % 2**63)
    checkpoints = Checkpoints(plan.folder.checkpoints, world, strategy, hooks.copies)
    progress = checkpoints.resume(parameters, optimizer)
    if world.leads and progress.step:
        logs.say(f"resuming after step {progress.step} of {batches.steps}")
    peak = hardware.matmul_peak(world.device, torch.bfloat16 if bf16 else torch.float32)
    reporter = Reporter(plan.folder.progress, progress.step, hooks.progress) if world.leads else None
    training = Training(
        recipe=recipe,
        batches=batches,
        model=spread,
        parameters=parameters,
        optimizer=optimizer,
        checkpoints=checkpoints,
        progress=progress,
        reporter=reporter,
        world=world,
        flops_per_token=flops,
        peak_flops=peak,
        save_before=hooks.save_before,
    )
    with atomic_io.disk_errors(plan.folder.root), _explaining_what_varies():
        training.run()
    if reporter:
        reporter.close()
    if hooks.copies:
        hooks.copies.settle()
    return _finish(plan, training, packed.target_tokens)


def _insist_on_the_same(plan: Plan, world: World) -> None:
    """Each process reads the files of its own host: all must match the leader's and be intact."""
    if world.size == 1:
        verify_foundation(plan.settings.foundation)
        return
    leaders, host, problem = world.share(plan.parts), socket.gethostname(), ""
    if differing := [name for name, value in leaders.items() if plan.parts[name] != value]:
        problem = f"{host} differs from the first host in {' and '.join(differing)}"
    else:
        try:
            verify_foundation(plan.settings.foundation)
        except ScenarioModelError as error:
            problem = f"{host}: {error}"
    world.agree(problem)


def _begin(plan: Plan, world: World) -> dict[str, Any]:
    """Write run.json and held_out.jsonl the first time; returns the arithmetic settings recorded then."""
    folder = plan.folder
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    if folder.record.is_file():
        environment: dict[str, Any] = json.loads(folder.record.read_text(encoding="utf-8"))["environment"]
        return environment
    wanted = plan.settings.recipe.dtype
    if wanted == "auto":
        wanted = "bf16" if hardware.bf16_is_faster(world.device) else "fp32"
    environment = {
        "device": world.device.type,
        "dtype": wanted,
        "threads": hardware.default_threads(),
        "processes": world.size,
    }
    record_run(plan, environment)
    return environment


def record_run(plan: Plan, environment: dict[str, Any]) -> None:
    """Record, once and for all, this run's inputs and arithmetic settings."""
    atomic_io.write_text(plan.folder.held_out, plan.data.held_out_lines())
    atomic_io.write_json(plan.folder.record, {**plan.inputs, "environment": environment})


def _finish(plan: Plan, training: Training, target_tokens: int) -> dict[str, Any]:
    """Write the trained model and, last, result.json."""
    folder, recipe, world = plan.folder, plan.settings.recipe, training.world
    tensors = {name: parallel.whole(p.detach()).cpu() for name, p in training.parameters.items()}
    result: dict[str, Any] = {}
    if world.leads:
        with atomic_io.disk_errors(folder.root):
            if not folder.model.exists():
                aside = atomic_io.fresh(folder.root / ".model.writing")
                save_trained(tensors, plan.settings.foundation, recipe, aside)
                atomic_io.publish(aside, folder.model)
            keep_baseline(plan)
            sequences = min(training.batches.total, training.batches.steps * recipe.sequences_per_step)
            result = {
                "model": tree_digest(folder.model),
                "steps": training.progress.step,
                "tokens": sequences * recipe.sequence_length,
                "target_tokens_per_epoch": target_tokens,
                "seconds": round(training.progress.seconds, 1),
                "final_loss": training.progress.loss,
                "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            }
            atomic_io.write_json(folder.result, result)
            shutil.rmtree(folder.checkpoints, ignore_errors=True)
    shared: dict[str, Any] = world.share(result)
    return shared


def flops_per_token(model: LossModel) -> float:
    """Floating-point operations to train on one token, without attention's own products.

    Two for each weight forward, two more for the gradient of its input, two for its own if trainable (Kaplan
    et al., 2020). An embedding that is not also the head is only looked up.
    """
    embedding = model.model.get_input_embeddings().weight
    head = model.model.get_output_embeddings().weight
    total = 0
    for parameter in model.parameters():
        if parameter is embedding and embedding is not head:
            continue
        total += parameter.numel() * (6 if parameter.requires_grad else 4)
    return float(total)


def _training_bytes(model: LossModel) -> int:
    """Weights, and for trainable ones also gradient and two moments of the same size."""
    return sum(p.numel() * p.element_size() * (4 if p.requires_grad else 1) for p in model.parameters())


def _repeatable(seed: int, threads: int) -> None:
    """Make torch deterministic, bit for bit. The order of sums depends on the number of threads."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required for deterministic cuBLAS
    torch.set_num_threads(threads)
    # With warn_only, attention on a GPU would take its other form although it has a deterministic one.
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


@contextmanager
def _explaining_what_varies() -> Iterator[None]:
    """Say what to do about an operation that gives other bits each time: a resumed run would be another one."""
    try:
        yield
    except RuntimeError as error:
        if "deterministic implementation" not in str(error):
            raise
        operation = str(error).partition(" ")[0]
        raise ScenarioModelError(
            f"this model needs {operation}, which gives other bits each time on a GPU",
            where="training",
            remedy="train it on CPUs (CUDA_VISIBLE_DEVICES=''), or use another foundation model",
        ) from None


def _result(folder: RunFolder) -> dict[str, Any] | None:
    if not folder.result.is_file():
        return None
    result: dict[str, Any] = json.loads(folder.result.read_text(encoding="utf-8"))
    return result


@contextmanager
def _alone(folder: RunFolder, world: World) -> Iterator[None]:
    """Hold the run's lock; a system lock, released however the process ends."""
    if not world.leads:
        yield
        return
    with atomic_io.disk_errors(folder.root):
        folder.root.mkdir(parents=True, exist_ok=True)
        stream = (folder.root / ".lock").open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logs.say(f"another process holds this run's lock; waiting: {folder.root}")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
