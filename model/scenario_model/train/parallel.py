"""One process or many: torchrun's world, and how the model is spread over it (DDP, or FSDP2)."""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from scenario_model.train.model import LossModel

Strategy = Literal["single", "ddp", "fsdp"]


@dataclass(frozen=True, slots=True)
class World:
    """The processes of this run: mine is `rank` of `size`, on `device`."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def share(self, value: Any) -> Any:
        """The leader's JSON value, in every process."""
        if self.size == 1:
            return value
        # As JSON: torch's own way to send objects is pickle.
        content = bytearray(json.dumps(value).encode())
        size = torch.tensor(len(content), device=self.device)
        dist.broadcast(size, 0)
        sent = (
            torch.frombuffer(content, dtype=torch.uint8)
            if self.leads
            else torch.empty(int(size), dtype=torch.uint8)
        )
        sent = sent.to(self.device)
        dist.broadcast(sent, 0)
        return json.loads(bytes(sent.tolist()))

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            dist.barrier()


def join_world() -> World:
    """Join torchrun's process group where there is one: NCCL with a GPU each, gloo on CPUs."""
    gpu = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World(0, 1, torch.device("cuda" if gpu else "cpu"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if gpu and torch.cuda.device_count() < int(os.environ.get("LOCAL_WORLD_SIZE", "1")):
        remedy = "start at most one process a GPU: torchrun --nproc-per-node gpu"
        raise InputError("there are more processes than GPUs", where="torchrun", remedy=remedy)
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo")
    return World(dist.get_rank(), dist.get_world_size(), device)


def leave_world(world: World) -> None:
    """Leave the process group."""
    if world.size > 1:
        dist.destroy_process_group()


def end_process(code: int = 0) -> None:
    """End this process of several now, its work done and written; the interpreter takes nothing down.

    DDP's and FSDP's own caches keep gloo's worker threads alive past the process group. One that frees its
    last tensor while the interpreter is going ends the process with SIGABRT (pytorch/pytorch#179291; once in
    72 tries on two busy cores), and torchrun then calls a finished training failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def choose_strategy(wanted: str, world: World, training_bytes: int, memory_bytes: int) -> Strategy:
    """What 'auto' means here: FSDP if the training state needs more than 60 % of a device's memory.

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
    """Wrap the model for its world; gradients are then averaged over the processes."""
    if strategy != "fsdp":
        model.to(world.device)
    if strategy == "single":
        return model
    if strategy == "ddp":
        ids = [world.device.index] if world.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=ids)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # Layer by layer from the CPU: no device ever holds the whole model.
    mesh = init_device_mesh(world.device.type, (world.size,))
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if model.bf16 else None, reduce_dtype=torch.float32
    )
    for layer in _layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


def accumulating(model: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Around a micro-batch: gradients are exchanged with the last one of a step only."""
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
    """All of a tensor that FSDP may have sharded; every process must ask."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _layers(model: nn.Module) -> list[nn.Module]:
    """The transformer's layers: the members of its longest list of modules."""
    lists = [list(module) for module in model.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
