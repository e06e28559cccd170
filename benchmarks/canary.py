"""Canaries that are no worse, and that are: how often they are stopped, and after how many exposed requests.

Simulated requests, drawn anew for each canary: 1 % fail; times to the first token and for each further one vary as
logs of normal numbers do. A tenth of the requests are the canary's. With each of those, both releases' bits per byte
of one text are compared, whose differences vary by 0.2. Beside it: a judge with fixed
thresholds, as rollout controllers have by default, who looks each 100 requests of the canary.

    python -m benchmarks.canary [--canaries 1000] [--requests 2000]
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenario_model.canary.judge import Judge, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHARE = 10
_LOOKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is different about a canary: points of errors, share of latency, bits per byte."""

    name: str
    errors: float = 0.0
    slower: float = 1.0
    loss: float = 0.0


KINDS = (
    Kind(name="the same release"),
    Kind(name="+2 points of errors", errors=0.02),
    Kind(name="+20 % latency", slower=1.2),
    Kind(name="0.05 bits per byte worse", loss=0.05),
)


_DIFFERENCES = 0.2


def outcomes(random: np.random.Generator, number: int, kind: Kind) -> Iterator[Outcome]:
    failed = random.random(number) < 0.01 + kind.errors
    latency = random.lognormal(np.log(0.3), 0.5, number) * kind.slower
    pace = random.lognormal(np.log(0.03), 0.25, number) * kind.slower
    for values in zip(failed, latency, pace, strict=True):
        yield Outcome(failed=bool(values[0]), latency=values[1], pace=values[2])


def exposed(random: np.random.Generator, kind: Kind, requests: int) -> tuple[int | None, int | None]:
    """Requests of the canary until ours and the fixed judge stop it; None: never."""
    judge, usual = Judge(seed=int(random.integers(2**31))), Kind(name="running")
    running = outcomes(random, requests * (_SHARE - 1), usual)
    seen: dict[str, list[Outcome]] = {"canary": [], "running": []}
    ours: int | None = None
    fixed: int | None = None
    for number, outcome in enumerate(outcomes(random, requests, kind), start=1):
        for _ in range(_SHARE - 1):
            other = next(running)
            seen["running"].append(other)
            if ours is None:
                judge.add("running", other)
        seen["canary"].append(outcome)
        if ours is None:
            judge.add("canary", outcome)
            judge.difference(random.normal(kind.loss, _DIFFERENCES))
            if judge.worse:
                ours = number
        if number % _LOOKS == 0:
            if fixed is None and crosses(seen["canary"], seen["running"]):
                fixed = number
            seen = {"canary": [], "running": []}
    return ours, fixed


def crosses(canary: list[Outcome], running: list[Outcome]) -> bool:
    """Fixed thresholds: more than 2 % errors, or a 99th percentile of latency over 1.3 times the other's."""
    errors = sum(bool(each.failed) for each in canary) / len(canary)
    late = [float(np.quantile([each.latency or 0.0 for each in arm], 0.99)) for arm in (canary, running)]
    return errors > 0.02 or late[0] > 1.3 * late[1]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--canaries", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=2000, help="of each canary")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    print(
        "| canary | stopped | exposed requests, median (90 %) | by fixed thresholds | exposed |\n|---|---|---|---|---|"
    )
    for kind in KINDS:
        found = [exposed(random, kind, options.requests) for _ in range(options.canaries)]
        cells = []
        for stopped in ([ours for ours, _ in found if ours], [fixed for _, fixed in found if fixed]):
            cells.append(f"{len(stopped) / options.canaries:.1%}")
            late = sorted(stopped)
            cells.append(
                f"{statistics.median(late):.0f} ({late[int(0.9 * (len(late) - 1))]})" if late else "-"
            )
        print(f"| {kind.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
