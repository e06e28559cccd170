"""Whether more sites fail than may: a test that may be looked at after every site, without deciding falsely more often.

An e-process: a fortune that grows on bets against "at most a share of `tolerated` fails". If that is true, the chance
that it ever reaches 1/a is at most a (Ville's inequality; Ramdas et al., Statistical Science 38(4), 2023,
arXiv 2210.01948). A quarter of it is for the first sites: what is staked there is just enough that the first failure
halts, with the default settings for 5 sites. The rest is on a mixture of shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_SHARES = (0.06, 0.12, 0.25, 0.5)
_FOR_LATER = 0.75


@dataclass(slots=True)
class Evidence:
    """Evidence against a release, from sites in the order in which their verdicts came."""

    tolerated: float
    false_halts: float
    _fortune: float = field(default=1.0, init=False)
    _first: bool = field(default=True, init=False)
    _logs: dict[float, float] = field(init=False)

    def __post_init__(self) -> None:
        self._logs = {share: 0.0 for share in _SHARES if share > self.tolerated}

    def add(self, *, failed: bool) -> None:
        """Count one site; each once."""
        if self._first and self._stake_on_the_next(failed=failed):
            return
        self._first = False
        for share in self._logs:
            ratio = share / self.tolerated if failed else (1 - share) / (1 - self.tolerated)
            self._logs[share] += math.log(ratio)

    def _stake_on_the_next(self, *, failed: bool) -> bool:
        """Bet so that a failure is enough; False if that leaves too little for later."""
        enough = 1 / self.false_halts
        # Fair if exactly the tolerated share fails: tolerated * enough + (1 - tolerated) * left = fortune.
        left = (self._fortune - self.tolerated * enough) / (1 - self.tolerated)
        if left < _FOR_LATER:
            return False
        self._first, self._fortune = not failed, enough if failed else left
        return True

    @property
    def value(self) -> float:
        """How many times likelier what was seen is if more than the tolerated share fails."""
        if not self._logs:
            return self._fortune
        # Below e^700, so that the sum is a number.
        mixed = sum(math.exp(min(each, 600.0)) for each in self._logs.values()) / len(self._logs)
        return self._fortune * mixed

    @property
    def halts(self) -> bool:
        """Whether it is enough to halt, with at most this share of false halts."""
        return self.value >= 1 / self.false_halts
