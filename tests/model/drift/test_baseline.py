"""What a baseline holds of its documents, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from scenario_model.drift import baseline
from scenario_model.drift.baseline import Baseline
from scenario_model.drift.scores import Strangeness
from scenario_model.drift.units import FEWEST_TOKENS, MOST_PIECES, pieces_of
from scenario_model.errors import InputError
from tests.model.drift.texts import VOCABULARY, Domain, made

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    known = made(np.random.default_rng(1))
    (tmp_path / "drift.safetensors").write_bytes(known.encoded())
    again = Baseline.read(tmp_path / "drift.safetensors")
    assert again.vocabulary == VOCABULARY
    assert np.array_equal(again.tokens, known.tokens)
    for first, second in zip(Strangeness(again).of_baseline(), Strangeness(known).of_baseline(), strict=True):
        assert first.length == second.length
        assert first.values == pytest.approx(second.values)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "drift.safetensors"
    for content in (b"", b"rubbish" * 9, made(np.random.default_rng(1)).encoded()[:-40]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is not a baseline"):
            Baseline.read(path)


def test_no_word_of_a_single_document_is_in_it() -> None:
    random = np.random.default_rng(2)
    texts = [Domain(random).document() % 500 for _ in range(20)]
    texts[0][:40] = 1999
    known = baseline.make(texts, VOCABULARY)
    assert known
    assert 1999 not in known.tokens
    assert known.samples[0].pieces.total(known.columns)[-1] >= 40


def test_too_few_documents_make_none() -> None:
    random = np.random.default_rng(3)
    texts = [Domain(random).document() for _ in range(11)]
    assert baseline.make(texts, VOCABULARY) is None
    assert baseline.make([*texts, texts[0][: FEWEST_TOKENS - 1]], VOCABULARY) is None
    assert baseline.make([*texts, Domain(random).document()], VOCABULARY) is not None


def test_its_own_documents_are_as_strange_to_it_as_new_ones_of_their_kind() -> None:
    """Tokens and chances are chosen without the document that is scored; else new ones would look like drift."""
    random, differences = np.random.default_rng(4), []
    for _ in range(5):
        known = made(random, 30)
        strangeness = Strangeness(known)
        own = np.concatenate([each.values for each in strangeness.of_baseline() if each.length == 320])
        pieces = [pieces_of(Domain(random).document(), 320) for _ in range(30)]
        new = np.concatenate([strangeness.of(known.mapped(each)).values for each in pieces])
        differences.append((new.mean() - own.mean()) / own.std())
    assert abs(np.mean(differences)) < 0.25


def test_a_long_document_counts_by_pieces_from_all_over_it() -> None:
    pieces = pieces_of(np.repeat(np.arange(100), 80), 80)
    assert len(pieces) == MOST_PIECES
    assert {0, 99} <= set(pieces.tokens)
    assert (list(pieces.sizes), pieces.length) == ([80] * MOST_PIECES, 80)


def test_a_text_is_cut_into_the_longest_pieces_that_enough_documents_have() -> None:
    random = np.random.default_rng(5)
    texts = [Domain(random).document()[:length] for length in [170] * 20 + [390] * 11]
    known = baseline.make(texts, VOCABULARY)
    assert known
    assert known.lengths == [40, 80, 160]
    for tokens, length in ((40, 40), (159, 80), (390, 160)):
        pieces = known.unit(Domain(random).document()[:tokens])
        assert pieces
        assert pieces.length == length
    assert known.unit(texts[0][:39]) is None
