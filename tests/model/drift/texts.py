"""Texts by a law: documents of one domain have topics of their own, and share the frequent words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenario_model.drift import baseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenario_model.drift.baseline import Baseline
    from scenario_model.drift.scores import Unit

    Ids = NDArray[np.int64]

VOCABULARY, _TOPICS, _LENGTH = 2000, 12, 400


class Domain:
    """Where documents come from. `moved`: the share of their words that are of other topics than the usual ones."""

    def __init__(self, random: np.random.Generator, moved: float = 0.0) -> None:
        self._random = random
        usual = np.random.default_rng(5)
        words = 1 / (np.arange(VOCABULARY) + 20)
        self._topics = words * usual.gamma(0.5, size=(2 * _TOPICS, VOCABULARY))
        self._topics /= self._topics.sum(axis=1, keepdims=True)
        self._moved = moved

    def document(self) -> Ids:
        chances = np.zeros(VOCABULARY)
        for half, share in ((self._topics[:_TOPICS], 1 - self._moved), (self._topics[_TOPICS:], self._moved)):
            chances += share * self._random.dirichlet(np.full(_TOPICS, 0.5)) @ half
        drawn: Ids = self._random.choice(VOCABULARY, size=_LENGTH, p=chances / chances.sum())
        return drawn


def made(random: np.random.Generator, documents: int = 40) -> Baseline:
    known = baseline.make([Domain(random).document() for _ in range(documents)], VOCABULARY)
    assert known
    return known


def window(known: Baseline, domain: Domain, units: int = 16) -> list[Unit]:
    """Units of as many clients, each a new one."""
    found: list[Unit] = []
    for _ in range(units):
        pieces = known.unit(domain.document())
        assert pieces
        found.append((str(domain._random.random()), pieces))
    return found
