"""Whether a run fits on the scratch disk, asked before anything is downloaded and again before it trains; and its
evaluation on the leader's GPUs.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenario_model.cloud.bucket import Bucket, is_bucket_uri
from scenario_model.data.settings import PythonReference
from scenario_model.errors import InputError
from scenario_model.foundation.tensors import parameters, shapes
from scenario_model.job.settings import FoundationInBucket

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.job.settings import JobSettings
    from scenario_model.train.settings import Recipe

_WITH_MOMENTS = 12
"""Bytes of a trained weight in a checkpoint: float32, with both moments of AdamW."""
_LONGEST_WEIGHT = 4
"""Bytes of a stored weight, at most: a file's size so tells of how many weights it is at least."""
_AT_ONCE = 3
"""Checkpoints on disk: two are kept while the next is written."""
_REMEDY = (
    "raise training.scratch, on AWS cloud:nodes.disk_gib too, or use a type with local disks; or train fewer weights "
    "(recipe.method lora)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What the leader's host keeps, in bytes: `inputs` that are downloaded, the `weights`' file, checkpoints."""

    inputs: int
    weights: int
    checkpoint: int
    checkpoints: int

    @property
    def most(self) -> int:
        """The most at one time: while training, while writing the model, or with the release fetched for its check."""
        training = self.checkpoints * self.checkpoint
        writing = min(self.checkpoints, _AT_ONCE - 1) * self.checkpoint + self.weights
        return self.inputs + max(training, writing, 2 * self.weights)


def require_room_for_inputs(settings: JobSettings) -> None:
    """Raise InputError if the disk is too small for certain; asks the bucket for sizes alone."""
    foundation, weights = _foundation(settings)
    trained = 0 if settings.recipe.method == "lora" else weights // _LONGEST_WEIGHT
    _require(settings, _need(settings, foundation + _data(settings), weights, trained), "at least ")


def require_room_to_train(settings: JobSettings, directory: Path) -> None:
    """Raise InputError if the disk is too small for the run of the foundation model in `directory`."""
    weights = sum(path.stat().st_size for path in directory.glob("*.safetensors"))
    trained = (
        _adapters(settings.recipe, directory) if settings.recipe.method == "lora" else parameters(directory)
    )
    inputs = _foundation(settings)[0] + _data(settings)
    _require(settings, _need(settings, inputs, weights, trained), "")


def require_room_to_evaluate(directory: Path) -> None:
    """Raise InputError if the leader's GPUs together have too little memory to score the foundation model."""
    import torch

    from scenario_model.evaluate.placing import require_room

    gpus = range(torch.cuda.device_count())
    memory = {index: torch.cuda.get_device_properties(index).total_memory for index in gpus}
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    vocabulary = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size", 0)
    require_room(parameters(directory), int(vocabulary), memory)


def _need(settings: JobSettings, inputs: int, weights: int, trained: int) -> Need:
    recipe = settings.recipe
    made = -(-recipe.max_steps // recipe.checkpoint_every_steps) if recipe.max_steps else _AT_ONCE
    return Need(
        inputs=inputs,
        weights=weights,
        checkpoint=trained * _WITH_MOMENTS,
        checkpoints=min(made, _AT_ONCE),
    )


def _foundation(settings: JobSettings) -> tuple[int, int]:
    """Bytes that are downloaded, and those of the weights among them, or of a directory that is here."""
    wanted = settings.foundation
    if isinstance(wanted, FoundationInBucket):
        sizes = Bucket(wanted.uri).sizes()
        return sum(sizes.values()), sum(size for key, size in sizes.items() if key.endswith(".safetensors"))
    return 0, sum(path.stat().st_size for path in wanted.path.glob("*.safetensors"))


def _data(settings: JobSettings) -> int:
    """Bytes of data that are downloaded."""
    wanted = settings.data
    if isinstance(wanted, PythonReference):
        return 0
    places = {wanted.path, wanted.held_out_path or wanted.path}
    return sum(sum(Bucket(place).sizes().values()) for place in places if is_bucket_uri(place))


def _adapters(recipe: Recipe, directory: Path) -> int:
    """The weights of adapters on all matrices: a little more than on the linear layers that have them."""
    return sum(recipe.rank * sum(shape) for shape in shapes(directory).values() if len(shape) == 2)


def _require(settings: JobSettings, need: Need, at_least: str) -> None:
    there = _there(settings)
    if need.most <= there:
        return
    what = (
        f"the run needs {at_least}{_words(need.most)} of disk (foundation model and data {_words(need.inputs)}, "
        f"{need.checkpoints} checkpoints of {_words(need.checkpoint)}, the trained model {_words(need.weights)}, twice "
        f"for its release), but there are {_words(there)}"
    )
    raise InputError(what, where=str(settings.scratch), remedy=_REMEDY)


def _there(settings: JobSettings) -> int:
    """Bytes that a run may have in the scratch folder; what is there already is counted as a part of it."""
    scratch = settings.scratch
    held = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file() and not path.is_symlink())
    nearest = next(place for place in (scratch, *scratch.parents) if place.exists())
    free = shutil.disk_usage(nearest).free + held
    return min(free, settings.scratch_bytes or free)


def _words(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
