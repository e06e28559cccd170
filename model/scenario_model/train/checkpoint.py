"""Atomic checkpoints with everything needed for a bit-exact resume.

A checkpoint is a folder `step-<number>`: `rank-<r>.safetensors` (weights that train, optimizer moments,
random generators) and `complete.json`, written last, with the digest of each file. It is written to a
temporary folder, synced, and renamed. If the marker is missing or does not match, the previous checkpoint is
used. No pickle anywhere.

All files are on the leader's host, however many hosts train: one rename commits the checkpoint, and a replaced
host resumes like the others. Processes on other hosts send their files over the process group.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load, load_file, save, save_file
from torch import Tensor

from scenario_model import atomic_io
from scenario_model.digests import file_digest
from scenario_model.errors import InputError
from scenario_model.train.parallel import World, local

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from scenario_model.train.hooks import Copies

MARKER = "complete.json"
_KEPT = 2  # the newest, and the previous one in case the disk loses the newest


@dataclass(slots=True)
class Progress:
    """A run's progress: steps done, seconds of training over all attempts, the last loss."""

    step: int = 0
    seconds: float = 0.0
    loss: float | None = None


class Checkpoints:
    """The checkpoints of one run, written and read by all of its processes together."""

    def __init__(self, folder: Path, world: World, strategy: str, copies: Copies | None = None) -> None:
        self._folder, self._world, self._copies = folder, world, copies
        self._writers = world.size if strategy == "fsdp" else 1
        self._shape = {"processes": self._writers, "strategy": "fsdp" if strategy == "fsdp" else "whole"}

    def save(
        self, progress: Progress, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        """Write a checkpoint durably. Raises ScenarioModelError if the disk is full."""
        aside = self._folder / ".writing"
        with atomic_io.disk_errors(self._folder):
            if self._world.leads:
                atomic_io.fresh(aside)
            self._world.wait()
            generators = self._generators()
            if self._world.rank < self._writers:
                self._write(aside, _tensors(parameters, optimizer) | generators)
            self._world.wait()
            if self._world.leads:
                self._publish(aside, progress)
        self._world.wait()

    def resume(self, parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> Progress:
        """Load the newest valid checkpoint into weights, optimizer and generators; a new Progress if there is
        none.

        Raises InputError if it was written by a different number of FSDP processes.
        """
        found = self._world.share(self._newest() if self._world.leads else None)
        if found is None:
            return Progress()
        name, marker = found
        if marker["shape"] != self._shape:
            was = f"{marker['shape']['processes']} process(es) of strategy {marker['shape']['strategy']}"
            remedy = "resume with the same number, or remove the checkpoints to start over"
            raise InputError(
                f"the checkpoint was written by {was}", where=str(self._folder / name), remedy=remedy
            )
        tensors = self._read(self._folder / name)
        _restore(tensors, parameters, optimizer)
        self._restore_generators(tensors)
        return Progress(**marker["progress"])

    def _generators(self) -> dict[str, Tensor]:
        """The states of random generators for this process's file: its own, or everybody's where one file is all.

        Each process draws its own masks where the model has dropout.
        """
        world, mine = self._world, save(_generators(self._world.device))
        ranks = range(world.size) if self._writers == 1 else (world.rank,)
        told = {rank: world.carry(mine, rank, 0) if rank and self._writers == 1 else mine for rank in ranks}
        if not world.leads and self._writers == 1:
            return {}
        return {
            f"generator/{rank}/{name}": state
            for rank, content in told.items()
            for name, state in load(content).items()
        }

    def _restore_generators(self, tensors: dict[str, Tensor]) -> None:
        of = f"generator/{self._world.rank}/"
        torch.set_rng_state(tensors[f"{of}cpu"])
        if self._world.device.type == "cuda":
            torch.cuda.set_rng_state(tensors[f"{of}cuda"], self._world.device)

    def _write(self, aside: Path, tensors: dict[str, Tensor]) -> None:
        """Write this process's file; the leader writes those of processes on other hosts too."""
        world = self._world
        if world.rank not in world.far:
            path = aside / _file_of(world.rank)
            save_file(tensors, path)
            atomic_io.sync(path)
        for rank in world.far if self._writers > 1 else ():
            content = world.carry(save(tensors) if rank == world.rank else b"", rank, 0)
            if world.leads:
                path = aside / _file_of(rank)
                path.write_bytes(content)
                atomic_io.sync(path)

    def _read(self, folder: Path) -> dict[str, Tensor]:
        """This process's saved state; processes on other hosts get it from the leader."""
        world = self._world

        def content(rank: int) -> bytes:
            return (folder / _file_of(rank)).read_bytes() if world.leads else b""

        if self._writers == 1:
            return load(world.carry(content(0), 0)) if world.far else load_file(folder / _file_of(0))
        found = {} if world.rank in world.far else load_file(folder / _file_of(world.rank))
        for rank in world.far:
            carried = world.carry(content(rank), 0, rank)
            if rank == world.rank:
                found = load(carried)
        return found

    def _publish(self, aside: Path, progress: Progress) -> None:
        files = {path.name: file_digest(path) for path in sorted(aside.glob("*.safetensors"))}
        content = {
            "progress": {"step": progress.step, "seconds": progress.seconds, "loss": progress.loss},
            "shape": self._shape,
            "files": files,
        }
        atomic_io.write_json(aside / MARKER, content)
        final = self._folder / f"step-{progress.step:08d}"
        if final.exists():  # incomplete: otherwise this run would have resumed from it
            shutil.rmtree(final)
        atomic_io.publish(aside, final)
        for old in self._folders()[_KEPT:]:
            shutil.rmtree(old)
        if self._copies:
            self._copies.keep(final)

    def _folders(self) -> list[Path]:
        return sorted(self._folder.glob("step-*"), reverse=True)

    def _newest(self) -> tuple[str, dict[str, Any]] | None:
        for folder in self._folders():
            try:
                marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
                if all(file_digest(folder / name) == digest for name, digest in marker["files"].items()):
                    return folder.name, marker
            except (OSError, ValueError, KeyError):
                continue
        return None


def _file_of(rank: int) -> str:
    return f"rank-{rank}.safetensors"


def _generators(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _tensors(parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"weight/{name}"] = _plain(parameter)
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{key}/{name}"] = _plain(value)
    return tensors


def _plain(tensor: Tensor) -> Tensor:
    return local(tensor.detach()).cpu().contiguous()


@torch.no_grad()
def _restore(
    tensors: dict[str, Tensor],
    parameters: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> None:
    for name, parameter in parameters.items():
        local(parameter.detach()).copy_(tensors[f"weight/{name}"])
    # A step with learning rate zero creates the optimizer's state in the right shape, sharded or not; then it
    # is filled.
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    before = [local(parameter.detach()).clone() for parameter in parameters.values()]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for (name, parameter), value in zip(parameters.items(), before, strict=True):
        local(parameter.detach()).copy_(value)
        for key, state in optimizer.state[parameter].items():
            local(state).copy_(tensors[f"optimizer/{key}/{name}"])
