"""A run's curves: loss, learning rate and speed of each step, as its folder has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenario_model.errors import InputError
from scenario_model.train.plan import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Point:
    """One step. `loss`: mean, in nats per token; `of`: steps of the whole run."""

    step: int
    of: int
    loss: float
    learning_rate: float
    tokens_per_s: float


def points_of(run: Path) -> list[Point]:
    """The steps of a run so far, in order. Raises InputError if the folder is no run's."""
    folder = RunFolder(run)
    if folder.state == "new":
        raise InputError("not a training run", where=str(run), remedy="name the folder of one, with run.json")
    found: dict[int, Point] = {}
    for line in folder.progress.read_text(encoding="utf-8").splitlines() if folder.progress.exists() else []:
        try:
            told = json.loads(line)
            point = Point(*(told[name] for name in Point.__slots__))
        except (ValueError, KeyError, TypeError):
            continue  # a line that is being written
        found[point.step] = point
    return [found[step] for step in sorted(found)]


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of them, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]
