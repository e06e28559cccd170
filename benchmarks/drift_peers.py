"""Our detectors beside others on the same windows: river's ADWIN and KSWIN, Kolmogorov and Smirnov's test, evidently.

The others are given what they take: ADWIN and KSWIN one number for each session (how unlikely its tokens are by the
baseline), the tests a table of the sessions' shares of the baseline's commonest tokens, beside the same table of its
documents. All have the settings that they have by default; `ks at our promise` is the test with a level so low that it
promises what ours do. Streams are those of `benchmarks.drift`: sessions, twenty windows and then a change.

The others need an environment of their own (requirements/drift-peers.lock):

    python -m benchmarks.drift_peers --sotu DIR --jargon DIR --tokenizer FILE [--streams 20] [--only evidently]
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pandas as pd
from evidently import Dataset, Report
from evidently.metrics import DriftedColumnsCount
from river import drift as river
from scipy import stats
from tokenizers import Tokenizer

from benchmarks.drift import WINDOWS, Streams, changes, named
from benchmarks.drift_corpora import corpora
from scenario_model.drift import baseline
from scenario_model.drift.detectors import Detectors
from scenario_model.drift.units import Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.drift import Window

_FEATURES, _LEVEL = 50, 0.05
_BEFORE, _AFTER = 20, 20


class Watches(Protocol):
    """Sees one window after the other, and says whether it alarms."""

    def __call__(self, sessions: Sequence[tuple[str, Pieces]]) -> bool: ...  # noqa: D102


def ours(known: baseline.Baseline) -> Watches:
    """All four detectors: any alarm."""
    detectors = Detectors(known, WINDOWS, np.random.default_rng(1))
    return lambda sessions: any(signal.alarms for signal in detectors.window(list(sessions)))


def agreeing(known: baseline.Baseline) -> Watches:
    """At least two of them, which is what asks for retraining."""
    detectors = Detectors(known, WINDOWS, np.random.default_rng(1))
    return lambda sessions: sum(signal.alarms for signal in detectors.window(list(sessions))) > 1


def of_numbers(make: Callable[[], river.ADWIN | river.KSWIN]) -> Callable[[baseline.Baseline], Watches]:
    """A detector of changes in a stream of numbers."""

    def made(known: baseline.Baseline) -> Watches:
        detector, logs = make(), -np.log(known.chances)

        def watch(sessions: Sequence[tuple[str, Pieces]]) -> bool:
            found = False
            for _, pieces in sessions:
                detector.update(float(pieces.mean(logs[pieces.tokens]).mean()))
                found |= detector.drift_detected
            return found

        return watch

    return made


class Table:
    """Shares of the commonest tokens: of the baseline's documents, and of a window's sessions."""

    def __init__(self, known: baseline.Baseline) -> None:
        self._size = known.columns
        self._chosen = np.argsort(known.counts[:-1])[::-1][:_FEATURES]
        longest = known.lengths[-1]
        # A piece of each document, as long as those of sessions: of several together, shares vary less.
        self.reference = np.array(
            [self._row(_first(each.pieces)) for each in known.samples if each.pieces.length == longest]
        )

    def _row(self, pieces: Pieces) -> NDArray[np.float64]:
        total = pieces.total(self._size)
        shares: NDArray[np.float64] = total[self._chosen] / total.sum()
        return shares

    def of(self, sessions: Sequence[tuple[str, Pieces]]) -> NDArray[np.float64]:
        """A row for each session."""
        return np.array([self._row(_first(pieces)) for _, pieces in sessions])


def _first(pieces: Pieces) -> Pieces:
    entries = slice(pieces.starts[0], pieces.starts[1])
    return Pieces(pieces.starts[:2], pieces.tokens[entries], pieces.counts[entries])


def ks(level: float) -> Callable[[baseline.Baseline], Watches]:
    """A test for each token, with Bonferroni's correction for their number."""

    def made(known: baseline.Baseline) -> Watches:
        table = Table(known)

        def watch(sessions: Sequence[tuple[str, Pieces]]) -> bool:
            now = table.of(sessions)
            least = min(stats.ks_2samp(table.reference[:, at], now[:, at]).pvalue for at in range(_FEATURES))
            return bool(least < level / _FEATURES)

        return watch

    return made


def evidently(known: baseline.Baseline) -> Watches:
    """The decision of its preset for drift in a table: a test for each column, an alarm if half of the columns drift.

    The preset is this metric and, for each column, one that draws: two hundred plots a window, which decide nothing.
    """
    table, names = Table(known), [f"token {at}" for at in range(_FEATURES)]
    reference = Dataset.from_pandas(pd.DataFrame(table.reference, columns=names))
    drifted = DriftedColumnsCount()
    report = Report([drifted])

    def watch(sessions: Sequence[tuple[str, Pieces]]) -> bool:
        now = Dataset.from_pandas(pd.DataFrame(table.of(sessions), columns=names))
        # It divides by zero where a column has but one value, or values that the reference does not have.
        with np.errstate(divide="ignore", invalid="ignore"):
            (counted,) = report.run(now, reference).dict()["metrics"]
        return bool(counted["value"]["share"] >= drifted.drift_share)

    return watch


PEERS: dict[str, Callable[[baseline.Baseline], Watches]] = {
    "ours, any detector": ours,
    "ours, two that agree": agreeing,
    "ADWIN": of_numbers(river.ADWIN),
    "KSWIN": of_numbers(lambda: river.KSWIN(seed=1)),
    "KS with Bonferroni": ks(_LEVEL),
    "KS at our promise": ks(1 / WINDOWS),
    "evidently": evidently,
}


def first_alarm(watch: Watches, known: baseline.Baseline, windows: Iterator[Window], most: int) -> int | None:
    """The number of the first window that alarms, from 0."""
    for number, window in enumerate(itertools.islice(windows, most)):
        sessions = [(client, pieces) for client, ids in window if (pieces := known.unit(ids))]
        if watch(sessions):
            return number
    return None


def main() -> None:
    """Print a table: streams without a change that alarm, and changes that are found in time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sotu", type=Path, required=True)
    parser.add_argument("--jargon", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="DETECTOR")
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    (corpus, *_) = corpora(options.sotu, options.jargon, tokenizer)
    known_changes = {name: (other, share) for name, other, share in changes(corpus)}
    cases = {"none": ([], 0.0), **{name: known_changes[name] for name in ("abrupt", "gentle")}}
    print(f"{corpus.name}, {options.streams} streams each, {_BEFORE} windows before a change, {_AFTER} after")
    print("| detector | no change: alarm in 40 | before the change | abrupt within 3 | gentle within 20 |")
    print("|---|---|---|---|---|")
    for name in options.only:
        found: dict[str, list[int | None]] = {case: [] for case in cases}
        for case, (other, share) in cases.items():
            draws = Streams(7)  # the same streams for all
            for _ in range(options.streams):
                chosen, rest = draws.split(corpus.documents)
                known = baseline.make(chosen, tokenizer.get_vocab_size())
                assert known
                usual = named(rest, "own")
                before = itertools.islice(draws.sessions(usual, [], 0.0), _BEFORE)
                stream = itertools.chain(before, draws.sessions(usual, other, share))
                found[case].append(first_alarm(PEERS[name](known), known, stream, _BEFORE + _AFTER))
        false = sum(each is not None for each in found["none"])
        early = [
            sum(each is not None and each < _BEFORE for each in found[case]) for case in ("abrupt", "gentle")
        ]
        timely = [
            sum(each is not None and _BEFORE <= each < _BEFORE + most for each in found[case])
            for case, most in (("abrupt", 3), ("gentle", 20))
        ]
        of = options.streams
        print(
            f"| {name} | {false} of {of} | {sum(early)} of {2 * of} | {timely[0]} | {timely[1]} |", flush=True
        )


if __name__ == "__main__":
    main()
