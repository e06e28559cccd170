"""What somebody who reads all reports, and knows the baseline, can tell of what was asked: next to nothing."""

from __future__ import annotations

import numpy as np
import pytest

from scenario_model.drift.detectors import Detectors
from scenario_model.exchange.contract import Drift, Signal, encode
from tests.model.drift.texts import VOCABULARY, Domain, made

WINDOWS, CANDIDATES, HASHED = 1000, 40, 4096


def recovered(guessed: set[int], asked: set[int]) -> float:
    """The share of what was asked that a guess of as many words has right."""
    return len(guessed & asked) / len(asked)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(21)


def test_the_attack_works_on_a_report_that_holds_hashed_counts(random: np.random.Generator) -> None:
    places = random.permutation(HASHED)[:VOCABULARY]
    found = []
    for _ in range(50):
        asked = Domain(random).document()
        report = np.bincount(places[asked], minlength=HASHED)
        guessed = set(map(int, np.flatnonzero(report[places])))
        found.append(recovered(guessed, set(map(int, asked))))
    assert np.mean(found) == 1.0


def test_it_fails_on_a_thousand_reports_of_ours_although_each_window_has_one_session(
    random: np.random.Generator,
) -> None:
    """The attacker knows the baseline and some texts, of which one was asked, and tries which of them fits."""
    known = made(random)
    release, told, right, sizes = f"assistant@sha256:{'0' * 64}", [], 0, []
    watching, copy = Detectors(known, 10_000.0, random), Detectors(known, 10_000.0, np.random.default_rng(1))
    texts = [Domain(random).document() for _ in range(CANDIDATES)]
    pieces = [known.unit(text) for text in texts]
    for number in range(WINDOWS):
        before = watching.state()
        one = int(random.integers(CANDIDATES))
        unit = pieces[one]
        assert unit
        signals = watching.window([(str(number), unit)])
        report = Drift(
            at=float(number),
            release=release,
            window_seconds=900.0,
            units=1,
            signals=tuple(
                Signal(name=each.name, value=round(each.value, 3), threshold=each.threshold)
                for each in signals
            ),
        )
        told.append(encode(report))
        if number % 50 == 0:
            fits = []
            for guess, candidate in enumerate(pieces):
                assert candidate
                copy.resume(before)
                value = next(s.value for s in copy.window([("x", candidate)]) if s.name == "reference")
                if abs(value - next(s.value for s in report.signals if s.name == "reference")) < 0.002:
                    fits.append(guess)
            sizes.append(len(fits))
            right += fits == [one]
    assert right <= 1, "a text is told apart from all others by its report"
    assert np.median(sizes) > CANDIDATES / 4
    # And without texts to try, there are four numbers for hundreds of words.
    assert max(map(len, told)) < 700
