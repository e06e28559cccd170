"""A run's data as tokens: made once for all processes of a host, and kept until the run is done.

With large data the tokens take minutes, which every process and every resume would spend again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file

from scenario_model import atomic_io, logs
from scenario_model.data.packing import Packed, pack
from scenario_model.digests import file_digest
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.train.parallel import World
    from scenario_model.train.plan import Plan

_FILE, _MARKER = "tokens.safetensors", "tokens.json"


def tokenized(plan: Plan, world: World) -> Packed:
    """Return the packed training data; processes on the leader's host read what the leader wrote."""
    folder = plan.folder.checkpoints
    if world.leads:
        packed = _kept(folder) or _made(plan, folder)
    world.wait()
    if not world.leads:
        packed = (None if world.rank in world.far else _kept(folder)) or _packed(plan)
    return packed


def _packed(plan: Plan) -> Packed:
    tokenizer = load_tokenizer(plan.settings.foundation)
    return pack(plan.data.training, tokenizer, plan.settings.recipe.sequence_length)


def _made(plan: Plan, folder: Path) -> Packed:
    packed = _packed(plan)
    logs.detail(f"{len(packed.tokens)} sequences of {packed.tokens.shape[1]} tokens")
    aside = folder / f".{_FILE}.writing"
    tensors = {"tokens": packed.tokens, "targets": packed.targets, "positions": packed.positions}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside)
    atomic_io.sync(aside)
    aside.replace(folder / _FILE)
    marker = {"digest": file_digest(folder / _FILE), "notes": list(packed.notes)}
    atomic_io.write_json(folder / _MARKER, marker)
    return packed


def _kept(folder: Path) -> Packed | None:
    """What an earlier process wrote; None if there is nothing, or it was torn or changed."""
    try:
        marker: dict[str, Any] = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
        if file_digest(folder / _FILE) != marker["digest"]:
            return None
        tensors = load_file(folder / _FILE)
        return Packed(tensors["tokens"], tensors["targets"], tensors["positions"], tuple(marker["notes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
