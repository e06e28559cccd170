"""Evaluates a run: scores parent and candidate on both domains, decides, stores scores and verdict in it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from scenario_model.atomic_io import disk_errors, write_json
from scenario_model.data.documents import family_of
from scenario_model.digests import file_digest, json_digest, tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.evaluate.decide import Scores, decide
from scenario_model.evaluate.documents import GENERAL, counted_bytes, read_documents
from scenario_model.evaluate.run import EVALUATION, HELD_OUT, Run, read_run
from scenario_model.foundation.importer import NOT_COUNTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from scenario_model.data.documents import Document
    from scenario_model.evaluate.settings import GateSettings

SCORES = "scores.json"
# Part of the cache key of scores: raise it when scoring changes.
_PROCEDURE = 2


def evaluate_run(
    directory: Path,
    gate: GateSettings,
    progress: Callable[[str, float], None],
    *,
    beside: Path | None = None,
    former: Path | None = None,
) -> tuple[dict[str, Any], bool]:
    """The verdict on the run in `directory`, also written to its evaluation.json; and whether that changed.

    `beside`: a release to be better than, in place of the run's parent. `former`: that release's run: what was held out
    there is an old domain by now, on which the new model must not be worse.

    `progress` gets the current activity and its share done, 0 to 1. Matching scores are reused: with other
    gate settings only the verdict is recomputed. Raises InputError for a run that cannot be evaluated,
    Refused if the foundation model is no longer the one the run started from.
    """
    run = read_run(directory)
    of = {
        "procedure": _PROCEDURE,
        "model": tree_digest(run.model),
        "parent": tree_digest(beside) if beside else run.parent["digest"],
        "held_out": file_digest(run.held_out),
        "general": file_digest(GENERAL),
    }
    if former:
        of["former"] = file_digest(former / HELD_OUT)
    scores = _kept(run, of) or _score(run, of, progress, beside, former)
    verdict = decide(Scores(**scores["new"]), Scores(**scores["old"]), gate)
    evaluation = {
        **verdict,
        "model": of["model"],
        "precision": scores["precision"],
        "texts": json_digest([of["held_out"], of["general"]]),
    }
    if beside:
        evaluation["beside"] = of["parent"]
    if _read(directory / EVALUATION) == evaluation:
        return evaluation, False
    with disk_errors(directory):
        write_json(directory / EVALUATION, evaluation)
    return evaluation, True


def _score(
    run: Run,
    of: dict[str, Any],
    progress: Callable[[str, float], None],
    beside: Path | None,
    former: Path | None,
) -> dict[str, Any]:
    new, old = read_documents(run.held_out), read_documents(GENERAL)
    if former:
        known = set(map(family_of, read_documents(former / HELD_OUT)))
        old += [document for document in new if family_of(document) in known]
        new = [document for document in new if family_of(document) not in known]
        if not new:
            raise InputError(
                "nothing of what is new was held out, so there is nothing to compare on",
                where=str(run.held_out),
                remedy="add more documents",
            )
    if beside is None and tree_digest(run.foundation, leave_out=NOT_COUNTED) != run.parent["digest"]:
        raise Refused(
            "is not the foundation model that the run started from",
            where=str(run.foundation),
            remedy="import it again, or train again",
        )
    from scenario_model.evaluate.compare import compare

    parent, candidate, precision = compare(beside or run.foundation, run.model, [*new, *old], progress)
    scores = {
        "of": of,
        "precision": precision,
        "new": asdict(_scores(new, parent[: len(new)], candidate[: len(new)])),
        "old": asdict(_scores(old, parent[len(new) :], candidate[len(new) :])),
    }
    with disk_errors(run.directory):
        write_json(run.directory / SCORES, scores)
    return scores


def _scores(documents: list[Document], parent: list[float], candidate: list[float]) -> Scores:
    """Add up each family's documents: those that share turns are not independent of each other."""
    families = list(dict.fromkeys(map(family_of, documents)))
    places = [families.index(family_of(document)) for document in documents]

    def summed(values: Iterable[float]) -> list[float]:
        sums = [0.0] * len(families)
        for place, value in zip(places, values, strict=True):
            sums[place] += value
        return sums

    sizes = [int(size) for size in summed(counted_bytes(document) for document in documents)]
    return Scores(bytes=sizes, parent=summed(parent), candidate=summed(candidate))


def _kept(run: Run, of: dict[str, Any]) -> dict[str, Any] | None:
    scores = _read(run.directory / SCORES)
    return scores if scores is not None and scores.get("of") == of else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
