"""A finished training run, as evaluation and release see it. Nothing here needs torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenario_model.errors import InputError

EVALUATION, HELD_OUT = "evaluation.json", "held_out.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Paths of a run's parts, and its inputs; digests are `sha256:<64 hex>`."""

    directory: Path
    digest: str
    foundation: Path
    parent: dict[str, Any]
    license: str | None
    lineage: list[dict[str, Any]]
    data: dict[str, Any]
    recipe: dict[str, Any]
    package: str
    finished: str

    @property
    def model(self) -> Path:
        """The final model in Hugging Face layout."""
        return self.directory / "model"

    @property
    def held_out(self) -> Path:
        """The held-out documents, one JSON object per line."""
        return self.directory / HELD_OUT


def read_run(directory: Path) -> Run:
    """Read a run that has finished. Raises InputError naming what is missing."""
    inputs = _read(directory / "run.json", "not a training run")
    result = _read(directory / "result.json", "the run has not finished: `scenario-model train` resumes it")
    try:
        run = Run(
            directory=directory,
            digest=inputs["digest"],
            foundation=Path(inputs["foundation"]["directory"]),
            parent={"name": inputs["foundation"]["name"], "digest": inputs["foundation"]["digest"]},
            license=inputs["foundation"].get("license"),
            lineage=inputs["foundation"].get("lineage", []),
            data=inputs["data"],
            recipe=inputs["recipe"],
            package=inputs["package"],
            finished=result["finished"],
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"has no {error}", where=str(directory / "run.json")) from None
    for path in (run.model / "config.json", run.held_out):
        if not path.is_file():
            raise InputError("is missing", where=str(path), remedy="remove the run and train again")
    return run


def read_evaluation(run: Run) -> dict[str, Any]:
    """The gate's verdict on the run. Raises InputError if it has not been evaluated."""
    evaluation = _read(
        run.directory / EVALUATION, f"evaluate first: `scenario-model evaluate --run {run.directory}`"
    )
    if not isinstance(evaluation.get("passed"), bool) or not isinstance(evaluation.get("model"), str):
        raise InputError("not an evaluation", where=str(run.directory / EVALUATION))
    return evaluation


def _read(path: Path, remedy: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from None
    except ValueError:
        raise InputError("is not JSON", where=str(path), remedy=remedy) from None
    if not isinstance(content, dict):
        raise InputError("is not a JSON object", where=str(path), remedy=remedy)
    return content
