"""Plans a training run: its inputs, the digest that names it, and its folder. Does not train."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from scenario_model.config import dump
from scenario_model.data.prepare import Prepared, insist_on_a_verdict, prepare
from scenario_model.digests import json_digest, package_digest
from scenario_model.errors import InputError
from scenario_model.foundation.importer import read_record
from scenario_model.tokens.loading import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.train.settings import TrainSettings

# Other versions of these may round differently, so they make a different run.
_LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths in a run's folder."""

    root: Path

    @property
    def record(self) -> Path:
        """Inputs and digest of the run."""
        return self.root / "run.json"

    @property
    def held_out(self) -> Path:
        """Held-out documents, one JSON object per line."""
        return self.root / "held_out.jsonl"

    @property
    def progress(self) -> Path:
        """One JSON object per step."""
        return self.root / "progress.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Checkpoints of an unfinished run; removed when it is done."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model in Hugging Face layout."""
        return self.root / "model"

    @property
    def result(self) -> Path:
        """Written last: marks the run as done."""
        return self.root / "result.json"

    @property
    def state(self) -> Literal["new", "partial", "done"]:
        """State of the run."""
        if self.result.is_file():
            return "done"
        return "partial" if self.record.is_file() else "new"


@dataclass(frozen=True, slots=True)
class Plan:
    """A validated run: settings, prepared data, `inputs` as in run.json, digest, folder.

    `parts` is what the digest covers.
    """

    settings: TrainSettings
    data: Prepared
    inputs: dict[str, Any]
    parts: dict[str, Any]
    digest: str
    folder: RunFolder

    @property
    def processes(self) -> int:
        """Number of processes that train together."""
        number: int = self.parts["processes"]
        return number

    def summary(self) -> dict[str, Any]:
        """What `--plan` prints."""
        return {
            "run": self.digest.removeprefix("sha256:"),
            "directory": str(self.folder.root),
            "state": self.folder.state,
            "data": self.data.summary(),
            "parts": self.parts,
        }


def make_plan(settings: TrainSettings, processes: int = 1) -> Plan:
    """Validate everything that can be checked without training, and name the run.

    Sums depend on the number of processes, so a different number is a different run.

    Raises InputError for a missing foundation model, bad data, or an inconsistent recipe.
    """
    recipe = settings.recipe
    if recipe.tokens_per_step < recipe.sequence_length:
        what = f"key 'recipe.tokens_per_step' is {recipe.tokens_per_step}"
        remedy = f"it must be at least sequence_length, {recipe.sequence_length}"
        raise InputError(what, where="recipe", remedy=remedy)
    foundation = read_record(settings.foundation)
    _check_length(settings)
    data = prepare(settings.data, lambda: load_tokenizer(settings.foundation))
    insist_on_a_verdict(data, settings.data)
    package = json_digest(
        {
            "source": package_digest("foundation", "data", "tokens", "train"),
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
    )
    parts = {
        "foundation": foundation["digest"],
        "data": data.digest,
        "recipe": dump(recipe),
        "package": package,
        "processes": processes,
    }
    digest = json_digest(parts)
    record = {
        "digest": digest,
        "foundation": {
            "directory": str(settings.foundation.resolve()),
            "name": foundation["name"],
            "digest": foundation["digest"],
        },
        "data": {"settings": dump(settings.data), **data.summary()},
        "recipe": dump(recipe),
        "package": package,
        "processes": processes,
    }
    root = settings.runs.resolve() / digest.removeprefix("sha256:")
    return Plan(settings, data, record, parts, digest, RunFolder(root))


def _check_length(settings: TrainSettings) -> None:
    import json

    config = json.loads((settings.foundation / "config.json").read_text(encoding="utf-8"))
    longest = config.get("max_position_embeddings")
    if isinstance(longest, int) and settings.recipe.sequence_length > longest:
        what = f"key 'recipe.sequence_length' is {settings.recipe.sequence_length}"
        raise InputError(what, where="recipe", remedy=f"this model supports at most {longest} tokens")
