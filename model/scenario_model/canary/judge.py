"""Whether a canary is worse, looked at after every request without deciding falsely more often.

Each request of the canary is compared with those of the running release that came with it: a block. As long as the
canary is no worse, it is as likely as any other of the block to be the one that failed, or the slowest. Bets against
that multiply a fortune; if the canary is no worse, the chance that it ever reaches 1/a is at most a (Ville). So whole
distributions may be compared continuously (as Lindon, Sanden, Shirikian do: KDD 2022, arXiv 2205.14762).
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Arm = Literal["canary", "running"]
Measure = Literal["errors", "latency", "pace", "loss", "feedback"]
MEASURES: tuple[Measure, ...] = ("errors", "latency", "pace", "loss", "feedback")
_OF_REQUESTS: tuple[Measure, ...] = ("errors", "latency", "pace", "feedback")
"""Known of requests; a loss is of texts, each by both releases."""
_MOST_BESIDE = 9
"""Requests of the running release that one of the canary is compared with, at most."""
_MOST_WAITING = 1000
_ODDS = (2.0, 4.0, 10.0)
_STAKES = (0.3, 0.6, 0.9)
_LATE, _LATE_STAKE = 0.9, 0.15
_MOST_DIFFERENCE, _UNNOTICED_DIFFERENCE = 0.25, 0.01
"""Bits per byte: what counts at most of one text, and by how much a canary may be worse."""
_DIFFERENCE_STAKES = (0.1, 0.3, 0.9)
# An engine that is asked less is woken more often, which costs milliseconds: what nobody notices is no reason.
_UNNOTICED: dict[Measure, float] = {"latency": 0.010, "pace": 0.002}
"""Seconds by which a canary may be slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a request went. What is None is not known of it.

    Attributes:
        failed: it was not answered, by the server's fault.
        latency: until the first token, in seconds.
        pace: for each further token, in seconds.
        bad: a person called the answer bad.

    """

    failed: bool | None = None
    latency: float | None = None
    pace: float | None = None
    bad: bool | None = None

    def value(self, measure: Measure) -> float | None:
        """The larger, the worse."""
        named = {"errors": self.failed, "feedback": self.bad}
        found = named[measure] if measure in named else getattr(self, measure)
        return None if found is None else float(found)


@dataclass
class Fortune:
    """Bets on one measure, side by side; their mean counts."""

    logs: list[float]

    def multiply(self, factors: Sequence[float]) -> None:
        """Count one outcome; `factors`: what each bet's fortune becomes by it."""
        self.logs = [log + math.log(factor) for log, factor in zip(self.logs, factors, strict=True)]

    @property
    def value(self) -> float:
        """The mean of all bets."""
        return sum(math.exp(min(log, 600.0)) for log in self.logs) / len(self.logs)


def _of_failures(canary: float, beside: Sequence[float]) -> list[float]:
    """Of the block's failures, each is the canary's as likely as another's; bet that its odds are higher."""
    failures, size = canary + sum(beside), 1 + len(beside)
    share = failures / size
    if share in (0.0, 1.0):
        return [1.0] * len(_ODDS)
    chances = [odds * failures / (odds * failures + size - failures) for odds in _ODDS]
    return [each / share if canary else (1 - each) / (1 - share) for each in chances]


def _of_ranks(canary: float, beside: Sequence[float], draw: float) -> list[float]:
    """The canary's rank is uniform, or lower; bet that it is high, and that it is among the highest.

    `draw`: uniform in [0, 1), to decide between equals.
    """
    below, equal = sum(each < canary for each in beside), sum(each == canary for each in beside)
    rank = (below + draw * (equal + 1)) / (len(beside) + 1)
    late = 1 - _LATE_STAKE + _LATE_STAKE * (rank > _LATE) / (1 - _LATE)
    return [*(1 + stake * (2 * rank - 1) for stake in _STAKES), late]


def _of_difference(difference: float) -> list[float]:
    """The mean of bounded differences is at most 0; bet that it is not (Waudby-Smith and Ramdas, arXiv 2010.09686)."""
    share = min(max((difference - _UNNOTICED_DIFFERENCE) / _MOST_DIFFERENCE, -1.0), 1.0)
    return [1 + stake * share for stake in _DIFFERENCE_STAKES]


@dataclass
class Judge:
    """Judges one canary. `false_alarms`: the chance that one that is no worse is ever called worse, by all measures."""

    false_alarms: float = 0.01
    seed: int = 0
    compared: int = 0
    fortunes: dict[Measure, Fortune] = field(init=False)
    _waiting: dict[Arm, dict[Measure, deque[float]]] = field(init=False)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        bets = {"errors": len(_ODDS), "feedback": len(_ODDS), "loss": len(_DIFFERENCE_STAKES)}
        self.fortunes = {each: Fortune([0.0] * bets.get(each, len(_STAKES) + 1)) for each in MEASURES}
        self._waiting = {
            arm: {each: deque(maxlen=_MOST_WAITING) for each in _OF_REQUESTS} for arm in ("canary", "running")
        }
        self._random = random.Random(self.seed)  # noqa: S311 no secret

    def add(self, arm: Arm, outcome: Outcome) -> None:
        """Count a request."""
        for measure in _OF_REQUESTS:
            value = outcome.value(measure)
            if value is None:
                continue
            self._waiting[arm][measure].append(value)
            self._compare(measure)

    def difference(self, bits_per_byte: float) -> None:
        """Count a text that both releases know: by how much more the canary needs for it."""
        self.fortunes["loss"].multiply(_of_difference(bits_per_byte))

    def _compare(self, measure: Measure) -> None:
        """Compare each request of the canary with all that came of the other since the last one."""
        canary, running = (self._waiting[arm][measure] for arm in ("canary", "running"))
        while canary and running:
            share = min(max(len(running) // len(canary), 1), _MOST_BESIDE)
            beside = [running.popleft() for _ in range(share)]
            value = canary.popleft() - _UNNOTICED.get(measure, 0.0)
            if measure in ("errors", "feedback"):
                factors = _of_failures(value, beside)
            else:
                factors = _of_ranks(value, beside, self._random.random())
            self.fortunes[measure].multiply(factors)
            self.compared += measure == "errors"

    def resume(self, compared: int, logs: Mapping[str, Sequence[float]]) -> None:
        """Go on from what an earlier process had. Raises KeyError or ValueError for another form."""
        for measure, fortune in self.fortunes.items():
            kept = [float(each) for each in logs[measure]]
            if len(kept) != len(fortune.logs):
                raise ValueError("of other bets")
            fortune.logs = kept
        self.compared = compared

    @property
    def worse(self) -> list[Measure]:
        """By which measures the canary is worse."""
        enough = len(MEASURES) / self.false_alarms
        return [measure for measure, fortune in self.fortunes.items() if fortune.value >= enough]
