"""What a training run is: its inputs, the digest that names it, and its folder. Nothing here trains."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from scenario_model.config import dump
from scenario_model.data.prepare import Prepared, prepare
from scenario_model.digests import json_digest, package_digest
from scenario_model.errors import InputError
from scenario_model.foundation.importer import read_record

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.train.settings import TrainSettings

# Another version of these may round otherwise, so it makes another run.
_LIBRARIES = ("torch", "transformers", "peft")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names inside a run's folder."""

    root: Path

    @property
    def record(self) -> Path:
        """Inputs and digest of the run."""
        return self.root / "run.json"

    @property
    def held_out(self) -> Path:
        """Documents that training never sees, one JSON object a line."""
        return self.root / "held_out.jsonl"

    @property
    def progress(self) -> Path:
        """One JSON object a step."""
        return self.root / "progress.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Where a killed run resumes from; gone when it is done."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The trained model in Hugging Face layout."""
        return self.root / "model"

    @property
    def result(self) -> Path:
        """Written last: the run is done."""
        return self.root / "result.json"

    @property
    def state(self) -> Literal["new", "partial", "done"]:
        """How far the run is."""
        if self.result.is_file():
            return "done"
        return "partial" if self.record.is_file() else "new"


@dataclass(frozen=True, slots=True)
class Plan:
    """A validated run: settings, prepared data, `inputs` as run.json keeps them, digest, folder.

    `parts` is what the digest is made of.
    """

    settings: TrainSettings
    data: Prepared
    inputs: dict[str, Any]
    parts: dict[str, Any]
    digest: str
    folder: RunFolder

    @property
    def processes(self) -> int:
        """How many train together."""
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
    """Validate everything that can be known without training, and name the run.

    Sums come out otherwise over another number of processes, so that makes another run.

    Raises InputError for a foundation model that is not there, bad data, or a recipe that does not fit
    together.
    """
    recipe = settings.recipe
    if recipe.tokens_per_step < recipe.sequence_length:
        what = f"key 'recipe.tokens_per_step' is {recipe.tokens_per_step}"
        remedy = f"it must be at least sequence_length, {recipe.sequence_length}"
        raise InputError(what, where="recipe", remedy=remedy)
    foundation = read_record(settings.foundation)
    _check_length(settings)
    data = prepare(settings.data, lambda: load_tokenizer(settings.foundation))
    package = json_digest(
        {
            "source": package_digest("foundation", "data", "train"),
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


def load_tokenizer(foundation: Path) -> Any:
    """The tokenizer of an imported foundation model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(foundation, local_files_only=True, trust_remote_code=False)


def _check_length(settings: TrainSettings) -> None:
    import json

    config = json.loads((settings.foundation / "config.json").read_text(encoding="utf-8"))
    longest = config.get("max_position_embeddings")
    if isinstance(longest, int) and settings.recipe.sequence_length > longest:
        what = f"key 'recipe.sequence_length' is {settings.recipe.sequence_length}"
        raise InputError(what, where="recipe", remedy=f"this model takes at most {longest} tokens")
