"""Where a model that is scored is kept: on one device, or its layers over all GPUs of this host if it is too large.

A model that trained with FSDP never was on one GPU. Layer after layer, each on its GPU, computes the same numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TOKENS = 1024
"""Of one batch, as `score` makes them."""
_BYTES_OF_A_SCORE = 12
"""Logits in bf16, and of one window in float32 twice."""
_OTHER_BYTES = 2**30
"""What CUDA takes, and activations of one layer."""
_REMEDY = "use a node with more, or larger, GPUs, or a smaller foundation model"


def scoring_bytes(vocabulary: int) -> int:
    """Bytes that each GPU needs beside the weights."""
    return _TOKENS * vocabulary * _BYTES_OF_A_SCORE + _OTHER_BYTES


def require_room(parameters: int, vocabulary: int, memory: Mapping[int, int]) -> None:
    """Raise InputError if a model could not be scored on GPUs of so much memory (bytes, by index), in bf16.

    Asked before a training: what cannot be evaluated cannot be released.
    """
    needed, there = 2 * parameters, sum(size - scoring_bytes(vocabulary) for size in memory.values())
    if memory and needed > there:
        what = (
            f"the model has {needed / 2**30:.0f} GiB of weights, but this host's {len(memory)} GPU(s) have "
            f"{max(there, 0) / 2**30:.0f} GiB for them, so its evaluation after the training would fail"
        )
        raise InputError(what, where="evaluation", remedy=_REMEDY)


def placed(model: Any, device: torch.device, memory: Mapping[int, int]) -> Any:
    """The model where it is scored; `memory`: what each GPU of this host has free, in bytes, by index.

    Raises InputError if all of them together are too small.
    """
    if device.type == "cpu":
        return model.to(device)
    beside = scoring_bytes(model.get_input_embeddings().weight.shape[0])
    if sum(map(_bytes, model.parameters())) + beside <= memory[0]:
        return model.to(device)
    rooms = [(torch.device("cuda", index), size - beside) for index, size in memory.items()]
    for part, where in layers_over(model, rooms).items():
        settle(model.get_submodule(part), where)
    return model


def layers_over(model: Any, rooms: Sequence[tuple[torch.device, int]]) -> dict[str, torch.device]:
    """The device of each part of the model: whole layers, in their order. Raises InputError if some have no place.

    A head that is also the embedding stays with it.
    """
    found: dict[str, torch.device] = {}
    held: dict[int, torch.device] = {}
    left, (where, room) = list(rooms[1:]), rooms[0]
    for name, part in _parts(model):
        weights = {id(each): _bytes(each) for each in part.parameters()}
        if shared := [held[each] for each in weights if each in held]:
            found[name] = shared[0]
            continue
        needed = sum(weights.values())
        while needed > room:
            if not left:
                what = f"the model does not fit on this host's {len(rooms)} GPU(s): no room for {name} and what follows"
                raise InputError(what, where="evaluation", remedy=_REMEDY)
            where, room = left.pop(0)
        room -= needed
        found[name] = where
        held |= dict.fromkeys(weights, where)
    return found


def settle(part: nn.Module, where: torch.device) -> None:
    """Move a part of a model, and from now on whatever it is given, to a device."""
    part.to(where)
    part.register_forward_pre_hook(
        lambda _, given, named: (moved(given, where), moved(named, where)), with_kwargs=True
    )


def moved(value: Any, where: torch.device) -> Any:
    """A value with all tensors in it on a device."""
    if isinstance(value, Tensor):
        return value.to(where)
    if isinstance(value, dict):
        return {key: moved(each, where) for key, each in value.items()}
    if type(value) in (tuple, list):
        return type(value)(moved(each, where) for each in value)
    return value


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers, and the largest modules beside them, by name and in order."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    layers = max(lists, key=len, default=model)
    around = {id(module) for module in model.modules() if any(each is layers for each in module.modules())}
    for name, module in model.named_modules():
        parent = model.get_submodule(name.rpartition(".")[0]) if name else None
        if id(module) not in around and id(parent) in around:
            yield name, module


def _bytes(weight: Tensor) -> int:
    return weight.numel() * weight.element_size()


def free_memory() -> dict[int, int]:
    """Bytes that each GPU of this host has free, by index."""
    return {index: torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())}
