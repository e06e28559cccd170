"""What a release was made for: its documents as counts of common tokens, signed with it.

Only tokens count that several documents have; all others are one. So no rare name or number of a document is in it, and
a document's own words cannot make it look more usual than another's: for scores of the baseline's documents, the tokens
are chosen as if that document had not been there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from scenario_model.drift.units import FEWEST_TOKENS, LENGTHS, Pieces, pieces_of
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

FILE = "drift/baseline.safetensors"
"""Path in a run and in a release: not beside the weights, where engines load all they find."""
FEWEST_UNITS = 12
"""Documents below which nothing is promised, and so nothing is made."""
_MOST_UNITS, _MOST_TOKENS = 512, 8000
_SHARED_BY = 5
_HALF = 0.5
# Byte-pair tokenizers number tokens by their frequency: Zipf's law with a flat beginning.
_FLAT = 500.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Pieces of a document, all of one length.

    `own`: for each entry, what its column's count has because of the document. `size`: tokens of the whole document.
    """

    unit: int
    pieces: Pieces
    own: Floats
    size: float


@dataclass(frozen=True)
class Baseline:
    """Documents of a release.

    Attributes:
        vocabulary: size of the tokenizer's.
        tokens: ids of the tokens that count, in rising order; the column after the last is all others.
        samples: of each document pieces of each length that it has.
        counts: of all documents together, for each column.

    """

    vocabulary: int
    tokens: Ints
    samples: list[Sample]
    counts: Floats

    @property
    def units(self) -> int:
        """How many documents."""
        return len({sample.unit for sample in self.samples})

    @property
    def columns(self) -> int:
        """How many values a text has: a count for each token that counts, and one for all others."""
        return len(self.tokens) + 1

    @cached_property  # asked for with every session
    def lengths(self) -> list[int]:
        """Lengths of pieces that enough documents have, in rising order."""
        having = Counter(sample.pieces.length for sample in self.samples)
        return sorted(length for length, documents in having.items() if documents >= FEWEST_UNITS)

    def unit(self, ids: Sequence[int] | Ints) -> Pieces | None:
        """A text's pieces, of the longest length for which there is something to compare with; None if it is too short.

        Their tokens are columns.
        """
        fitting = [length for length in self.lengths if length <= len(ids)]
        return self.mapped(pieces_of(ids, fitting[-1])) if fitting else None

    def mapped(self, pieces: Pieces) -> Pieces:
        """A text's pieces, with columns in place of token ids."""
        at = np.searchsorted(self.tokens, pieces.tokens)
        known = at < len(self.tokens)
        known[known] = self.tokens[at[known]] == pieces.tokens[known]
        return pieces.mapped(np.where(known, at, len(self.tokens)))

    @property
    def chances(self) -> Floats:
        """Each column's chance."""
        smooth = self.counts + _HALF
        chances: Floats = smooth / smooth.sum()
        return chances

    def chances_without(self, sample: Sample) -> Floats:
        """For the entries of a sample: their columns' chances by all other documents."""
        others = self.counts.sum() + _HALF * self.columns - sample.size
        chances: Floats = (self.counts[sample.pieces.tokens] - sample.own + _HALF) / others
        return chances

    @property
    def background(self) -> Floats:
        """Each column's chance in text of any kind, from the order in which the tokenizer learnt its tokens."""
        by_rank = 1 / (np.arange(self.vocabulary) + _FLAT)
        known = by_rank[self.tokens]
        chances: Floats = np.append(known, by_rank.sum() - known.sum()) / by_rank.sum()
        return chances

    def encoded(self) -> bytes:
        """As safetensors."""
        joined = Pieces.joined([sample.pieces for sample in self.samples])
        arrays: dict[str, NDArray[Any]] = {
            "vocabulary": np.array([self.vocabulary], dtype=np.int32),
            "tokens": self.tokens.astype(np.int32),
            "counts": self.counts.astype(np.float32),
            "sample_units": np.array([each.unit for each in self.samples], dtype=np.int32),
            "sample_pieces": np.array([len(each.pieces) for each in self.samples], dtype=np.int32),
            "sample_sizes": np.array([each.size for each in self.samples], dtype=np.float32),
            "piece_starts": joined.starts.astype(np.int32),
            "piece_columns": joined.tokens.astype(np.int32),
            "piece_counts": joined.counts.astype(np.int16),
            "own_counts": np.concatenate([each.own for each in self.samples]).astype(np.float32),
        }
        return save(arrays, {"format": "1"})

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline. Raises InputError for a file that is none."""
        try:
            return cls._from(load(path.read_bytes()))
        except (OSError, SafetensorError, KeyError, ValueError, IndexError) as error:
            raise InputError(f"is not a baseline: {error}", where=str(path)) from None

    @classmethod
    def _from(cls, arrays: dict[str, NDArray[np.generic]]) -> Baseline:
        def whole(name: str) -> Ints:
            return np.asarray(arrays[name], dtype=np.int64)

        def real(name: str) -> Floats:
            return np.asarray(arrays[name], dtype=np.float64)

        starts, columns, counts = whole("piece_starts"), whole("piece_columns"), real("piece_counts")
        own, tokens, samples, first = real("own_counts"), whole("tokens"), list[Sample](), 0
        described = (whole("sample_units"), whole("sample_pieces"), real("sample_sizes"))
        for unit, number, size in zip(*described, strict=True):
            bounds = starts[first : first + number + 1]
            low, high = int(bounds[0]), int(bounds[-1])
            pieces = Pieces(bounds - low, columns[low:high], counts[low:high])
            samples.append(Sample(int(unit), pieces, own[low:high], float(size)))
            first += int(number)
        if len(real("counts")) != len(tokens) + 1 or first + 1 != len(starts) or len(columns) != starts[-1]:
            raise ValueError("its parts do not fit each other")
        (vocabulary,) = whole("vocabulary")
        return cls(int(vocabulary), tokens, samples, real("counts"))


def make(texts: Iterable[Sequence[int] | Ints], vocabulary: int) -> Baseline | None:
    """Make a baseline of independent documents, as token ids; None of too few. Of very many, the first ones count."""
    found = [np.asarray(ids, dtype=np.int64) for ids in texts]
    found = [ids for ids in found if len(ids) >= FEWEST_TOKENS][:_MOST_UNITS]
    if len(found) < FEWEST_UNITS:
        return None
    totals = [np.unique(ids, return_counts=True) for ids in found]
    having, total = np.zeros(vocabulary, dtype=np.int64), np.zeros(vocabulary)
    for ids, counted in totals:
        having[ids] += 1
        total[ids] += counted
    tokens = np.flatnonzero(having >= _SHARED_BY)
    if len(tokens) > _MOST_TOKENS:
        tokens = np.sort(tokens[np.argsort(-total[tokens], kind="stable")[:_MOST_TOKENS]])
    counts = np.append(total[tokens], total.sum() - total[tokens].sum())
    made = Baseline(vocabulary, tokens, [], counts)
    only_just = np.append(having[tokens] == _SHARED_BY, False)
    for unit, ids in enumerate(found):
        # A token that would not count without this document is one of the others to it.
        whole = made.mapped(
            Pieces(np.array([0, len(totals[unit][0])]), totals[unit][0], totals[unit][1].astype(float))
        )
        lost = np.unique(whole.tokens[only_just[whole.tokens]])
        own = whole.total(len(counts))
        # By the others alone, those tokens would have been among the others, too.
        own[-1] += own[lost].sum() - counts[lost].sum()
        for length in LENGTHS:
            if length <= len(ids):
                pieces = made.mapped(pieces_of(ids, length))
                columns = np.where(only_just[pieces.tokens], len(tokens), pieces.tokens)
                made.samples.append(Sample(unit, pieces.mapped(columns), own[columns], float(len(ids))))
    return made
