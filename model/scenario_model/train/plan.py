"""Plans a training run: its inputs, the digest that names it, and its folder. Does not train."""

from __future__ import annotations

import json
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

    from scenario_model.train.settings import Recipe, TrainSettings

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
    def step(self) -> int:
        """The step after which the run goes on: that of its newest checkpoint, or of all steps if it is done."""
        if self.result.is_file():
            return int(json.loads(self.result.read_text(encoding="utf-8"))["steps"])
        return max(
            (int(path.name.removeprefix("step-")) for path in self.checkpoints.glob("step-*")), default=0
        )

    @property
    def state(self) -> Literal["new", "partial", "done"]:
        """State of the run."""
        if self.result.is_file():
            return "done"
        return "partial" if self.record.is_file() else "new"


@dataclass(frozen=True, slots=True)
class Plan:
    """A validated run: settings, prepared data, `inputs` as in run.json, digest, folder.

    `parts` is what the digest covers; `notes` are for a person.
    """

    settings: TrainSettings
    data: Prepared
    inputs: dict[str, Any]
    parts: dict[str, Any]
    digest: str
    folder: RunFolder
    notes: tuple[str, ...] = ()

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
            "notes": list(self.notes),
        }


def make_plan(settings: TrainSettings, processes: int = 1) -> Plan:
    """Validate everything that can be checked without training, and name the run.

    Sums depend on the number of processes, so a different number is a different run.

    Raises InputError for a missing foundation model, bad data, or an inconsistent recipe.
    """
    given = settings.recipe.tokens_per_step
    if given is not None and given < settings.recipe.sequence_length:
        what = f"key 'recipe.tokens_per_step' is {given}"
        remedy = f"it must be at least sequence_length, {settings.recipe.sequence_length}"
        raise InputError(what, where="recipe", remedy=remedy)
    recipe = settings.recipe.for_processes(processes)
    settings = settings.model_copy(update={"recipe": recipe})
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
            "license": foundation.get("license"),
            "lineage": foundation.get("lineage", []),
        },
        "data": {"settings": dump(settings.data), **data.summary()},
        "recipe": dump(recipe),
        "package": package,
        "processes": processes,
    }
    root = settings.runs.resolve() / digest.removeprefix("sha256:")
    notes = (*data.notes, *_notes(recipe, processes, str(foundation.get("serving_obstacle", ""))))
    return Plan(settings, data, record, parts, digest, RunFolder(root), notes)


def _notes(recipe: Recipe, processes: int, obstacle: str) -> list[str]:
    notes = [f"the bundled engine cannot serve this model ({obstacle}); vLLM may"] if obstacle else []
    if (idle := processes - recipe.sequences_per_step) > 0:
        enough = processes * recipe.sequence_length
        notes.append(
            f"{idle} of {processes} processes have no work: raise recipe.tokens_per_step to {enough} or more"
        )
    return notes


def _check_length(settings: TrainSettings) -> None:
    config = json.loads((settings.foundation / "config.json").read_text(encoding="utf-8"))
    longest = config.get("max_position_embeddings")
    if isinstance(longest, int) and settings.recipe.sequence_length > longest:
        what = f"key 'recipe.sequence_length' is {settings.recipe.sequence_length}"
        raise InputError(what, where="recipe", remedy=f"this model supports at most {longest} tokens")
