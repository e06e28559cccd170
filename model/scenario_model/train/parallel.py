"""One process or many: torchrun's world, and how the model is distributed over it (DDP or FSDP2)."""

from __future__ import annotations

import datetime
import json
import os
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from scenario_model.errors import InputError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.train.model import LossModel

Strategy = Literal["single", "ddp", "fsdp"]

_PART = 2**26  # bytes per transfer: a GPU has no room for a whole checkpoint in addition to the model


class PeersLostError(TemporaryError):
    """Another process of the run ended or does not respond: start the run again."""


@dataclass(frozen=True, slots=True)
class World:
    """The processes of this run: this one is `rank` of `size`, on `device`; `hosts` has each one's host
    number."""

    rank: int
    size: int
    device: torch.device
    hosts: tuple[int, ...] = (0,)

    @property
    def leads(self) -> bool:
        """Whether this process writes the files that are written once."""
        return self.rank == 0

    @property
    def far(self) -> list[int]:
        """The processes on hosts other than the leader's, which do not see its files."""
        return [rank for rank, host in enumerate(self.hosts) if host != self.hosts[0]]

    def total(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def least(self, value: int) -> int:
        """The minimum over all processes, so that all of them decide alike."""
        return min(int(self.share(value, rank)) for rank in range(self.size))

    def share(self, value: Any, source: int = 0) -> Any:
        """The leader's JSON value, or another process's, in every process."""
        if self.size == 1:
            return value
        # As JSON: torch sends objects as pickle.
        return json.loads(self.carry(json.dumps(value).encode(), source))

    def agree(self, problem: str) -> None:
        """Continue if no process has a problem. Raises InputError with all problems, in every process."""
        problems = [told for rank in range(self.size) if (told := self.share(problem, rank))]
        if problems:
            raise InputError("; ".join(dict.fromkeys(problems)), where="training over several processes")

    def carry(self, content: bytes, source: int, target: int | None = None) -> bytes:
        """The source's bytes, in every process; with a target, only in that one."""
        if target is not None and self.rank not in {source, target}:
            return b""
        gives = self.rank == source
        size = torch.tensor(len(content), device=self.device)
        self._move(size, source, target)
        carried = bytearray(content) if gives else bytearray(int(size))
        for start in range(0, len(carried), _PART):
            part = torch.frombuffer(carried, dtype=torch.uint8)[start : start + _PART]
            moved = part.to(self.device)
            self._move(moved, source, target)
            if not gives:
                part.copy_(moved)
        return bytes(carried)

    def _move(self, tensor: Tensor, source: int, target: int | None) -> None:
        if target is None:
            dist.broadcast(tensor, source)
        elif self.rank == source:
            dist.send(tensor, target)
        else:
            dist.recv(tensor, source)

    def wait(self) -> None:
        """Wait for every process."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined_world(peer_timeout_s: float) -> Iterator[World]:
    """Join torchrun's process group if there is one: NCCL with a GPU each, gloo on CPUs.

    No process waits longer than `peer_timeout_s` for another. Raises PeersLostError if one ended or does not
    respond.
    """
    try:
        world = _join(peer_timeout_s)
        yield world
    except RuntimeError as error:
        if not _is_of_peers(error):
            raise
        # The group is not destroyed: that would wait for the others again.
        raise PeersLostError(
            f"another process of this run ended, or did not respond for {peer_timeout_s:.0f} s",
            where="training over several processes",
            remedy="start it again on every host: it resumes from its last checkpoint",
        ) from error
    except BaseException:
        _leave()
        raise
    _leave()


def _join(peer_timeout_s: float) -> World:
    gpu = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World(0, 1, torch.device("cuda" if gpu else "cpu"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if gpu and torch.cuda.device_count() < int(os.environ.get("LOCAL_WORLD_SIZE", "1")):
        remedy = "start at most one process per GPU: torchrun --nproc-per-node gpu"
        raise InputError("there are more processes than GPUs", where="torchrun", remedy=remedy)
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo", timeout=datetime.timedelta(seconds=peer_timeout_s))
    world = World(dist.get_rank(), dist.get_world_size(), device)
    mine = int(os.environ.get("GROUP_RANK", "0"))
    hosts = tuple(world.share(mine, rank) for rank in range(world.size))
    return World(world.rank, world.size, device, hosts)


def _is_of_peers(error: RuntimeError) -> bool:
    """Whether an error was caused by another process, and not this one.

    gloo's are plain RuntimeErrors that
    begin with a path in its source.
    """
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def end_process(code: int = 0) -> None:
    """Exit this process of several now, with its work done and written, without interpreter teardown.

    DDP's and FSDP's caches keep gloo's worker threads alive beyond the process group. One that frees its last
    tensor during teardown ends the process with SIGABRT (pytorch/pytorch#179291; once in 72 tries on two busy
    cores), and torchrun then calls a finished training failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def choose_strategy(wanted: str, world: World, training_bytes: int, memory_bytes: int) -> Strategy:
    """Resolve 'auto': FSDP if the training state needs more than 60 % of a device's memory.

    Raises InputError for a strategy that needs more than one process.
    """
    if world.size == 1:
        if wanted == "fsdp":
            remedy = 'start it with torchrun --nproc-per-node N, or use "auto"'
            raise InputError(
                "key 'recipe.strategy' is \"fsdp\" for one process", where="recipe", remedy=remedy
            )
        return "single"
    if wanted == "auto":
        return "fsdp" if training_bytes > 0.6 * memory_bytes else "ddp"
    return "fsdp" if wanted == "fsdp" else "ddp"


def spread(model: LossModel, strategy: Strategy, world: World) -> nn.Module:
    """Wrap the model for its world; gradients are averaged over the processes."""
    if strategy != "fsdp":
        model.to(world.device)
    if strategy == "single":
        return model
    if strategy == "ddp":
        ids = [world.device.index] if world.device.type == "cuda" else None
        # Otherwise DDP rebuilds its buckets after its first step, and with three or more processes the first
        # step after a resume would sum in a different order.
        return nn.parallel.DistributedDataParallel(model, device_ids=ids, find_unused_parameters=True)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # Layer by layer from the CPU: no device ever has the whole model.
    mesh = init_device_mesh(world.device.type, (world.size,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if model.bf16 else None, reduce_dtype=torch.float32
    )
    for layer in _layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


def accumulating(model: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Context of a micro-batch: gradients are exchanged only with the last one of a step."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, nn.parallel.DistributedDataParallel) and not last:
        return model.no_sync()
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
    return nullcontext()


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that FSDP may have sharded."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The full tensor, which FSDP may have sharded; every process must call it."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _layers(model: nn.Module) -> list[nn.Module]:
    """The transformer's layers: the members of its longest list of modules."""
    lists = [list(module) for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
