"""A check of every device and of the links between them before a training, in seconds.

The burn-in of hosts takes minutes and measures speed; this compares results alone. All of its numbers are small
integers, so sums are exact in whatever order, and in bfloat16 too: any difference is a fault.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import torch

from scenario_model.errors import TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from scenario_model.train.parallel import World

# bfloat16 has all integers up to 256: sums of so many products of -1, 0 and 1 stay far below (here at most 165).
_SIZE = {"cpu": 256, "cuda": 2048}
_ROUNDS = {"cpu": 1, "cuda": 50}
_NUMBERS = 2**22
_PERIOD = 251
_REMEDY = "the job starts again, maybe on another node; take the node away if it says so again"


def check_hardware(world: World) -> None:
    """Raise TemporaryError, in every process, naming each node whose device or link gives wrong results."""
    # What a broken device raises may leave nothing to tell others with: they lose this process as a peer.
    try:
        wrong = wrong_product(world.device)
    except RuntimeError as error:
        raise TemporaryError(f"{_here(world.device)} fails: {_first_line(error)}", remedy=_REMEDY) from error
    _agree(world, wrong)
    _agree(world, wrong_sum(world) if world.size > 1 else "")


def wrong_product(device: torch.device, multiply: Callable[[Tensor, Tensor], Tensor] = torch.matmul) -> str:
    """What is wrong with this device's products, compared with the CPU's; empty if nothing."""
    size, generator = _SIZE[device.type], torch.Generator().manual_seed(0)
    left, right = (torch.randint(-1, 2, (size, size), generator=generator).float() for _ in range(2))
    wanted = (left.double() @ right.double()).to(device, torch.bfloat16)
    left, right = (each.to(device, torch.bfloat16) for each in (left, right))
    differing = sum(int((multiply(left, right) != wanted).sum()) for _ in range(_ROUNDS[device.type]))
    return f"{_here(device)} computed {differing} wrong products" if differing else ""


def wrong_sum(world: World) -> str:
    """What is wrong with a sum over all processes; empty if nothing."""
    pattern = torch.arange(_NUMBERS, device=world.device).remainder(_PERIOD).float()
    summed = world.total(pattern + world.rank)
    differing = int((summed != pattern * world.size + world.size * (world.size - 1) / 2).sum())
    return f"{_here(world.device)} got {differing} wrong sums over all processes" if differing else ""


def _agree(world: World, wrong: str) -> None:
    told = [each for rank in range(world.size) if (each := world.share(wrong, rank))]
    if told:
        raise TemporaryError("; ".join(told), where="check before the training", remedy=_REMEDY)


def _here(device: torch.device) -> str:
    name = "the processor" if device.type == "cpu" else f"GPU {device.index or 0}"
    return f"{name} of node {os.environ.get('NODE') or socket.gethostname()}"


def _first_line(error: RuntimeError) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
