"""What a release was made for: its documents as counts of common tokens, signed with it.

Only tokens count that several documents have; all others are one. So no rare name or number of a document is in it, and
a document's own words cannot make it look more usual than another's: for scores of the baseline's documents, the tokens
are chosen as if that document had not been there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from scenario_model.drift.units import Pieces, pieces_of
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
_MOST_UNITS, _MOST_TOKENS = 1024, 8000
_SHARED_BY = 5
_HALF = 0.5
# Byte-pair tokenizers number tokens by their frequency: Zipf's law with a flat beginning.
_FLAT = 500.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """Documents of a release.

    Attributes:
        vocabulary: size of the tokenizer's.
        tokens: ids of the tokens that count, in rising order; the column after the last is all others.
        units: the pieces of each document, as scores see them.
        counts: of all documents together, for each column.
        own: of each document, for the entries of its pieces: what their columns' `counts` have because of it.

    """

    vocabulary: int
    tokens: Ints
    units: list[Pieces]
    counts: Floats
    own: list[Floats]

    @property
    def columns(self) -> int:
        """How many values a text has: a count for each token that counts, and one for all others."""
        return len(self.tokens) + 1

    def mapped(self, pieces: Pieces) -> Pieces:
        """A text's pieces, with columns in place of token ids."""
        at = np.searchsorted(self.tokens, pieces.tokens)
        known = at < len(self.tokens)
        known[known] = self.tokens[at[known]] == pieces.tokens[known]
        return Pieces(pieces.starts, np.where(known, at, len(self.tokens)), pieces.counts)

    @property
    def chances(self) -> Floats:
        """Each column's chance."""
        smooth = self.counts + _HALF
        chances: Floats = smooth / smooth.sum()
        return chances

    def chances_without(self, unit: int) -> Floats:
        """For the entries of a document: their columns' chances by all other documents."""
        pieces, own = self.units[unit], self.own[unit]
        others = self.counts.sum() + _HALF * self.columns - pieces.counts.sum()
        chances: Floats = (self.counts[pieces.tokens] - own + _HALF) / others
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
        joined = Pieces.joined(self.units)
        arrays = {
            "tokens": self.tokens.astype(np.int32),
            "counts": self.counts.astype(np.float32),
            "unit_pieces": np.array([len(each) for each in self.units], dtype=np.int32),
            "piece_starts": joined.starts.astype(np.int32),
            "piece_columns": joined.tokens.astype(np.int32),
            "piece_counts": joined.counts.astype(np.float32),
            "own_counts": np.concatenate(self.own).astype(np.float32),
            "vocabulary": np.array([self.vocabulary], dtype=np.int32),
        }
        return save(arrays, {"format": "1"})

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read a baseline. Raises InputError for a file that is none."""
        try:
            content = path.read_bytes()
            arrays = load(content)
            return cls._from(arrays)
        except (OSError, SafetensorError, KeyError, ValueError, IndexError) as error:
            raise InputError(f"is not a baseline: {error}", where=str(path)) from None

    @classmethod
    def _from(cls, arrays: dict[str, NDArray[np.generic]]) -> Baseline:
        def whole(name: str) -> Ints:
            return np.asarray(arrays[name], dtype=np.int64)

        def real(name: str) -> Floats:
            return np.asarray(arrays[name], dtype=np.float64)

        starts, columns, counts = whole("piece_starts"), whole("piece_columns"), real("piece_counts")
        own_all = real("own_counts")
        units: list[Pieces] = []
        own: list[Floats] = []
        first = 0
        for number in whole("unit_pieces"):
            bounds = starts[first : first + number + 1]
            low, high = int(bounds[0]), int(bounds[-1])
            units.append(Pieces(bounds - low, columns[low:high], counts[low:high]))
            own.append(own_all[low:high])
            first += int(number)
        tokens, all_counts = whole("tokens"), real("counts")
        if len(all_counts) != len(tokens) + 1 or first + 1 != len(starts) or len(columns) != starts[-1]:
            raise ValueError("its parts do not fit each other")
        (vocabulary,) = whole("vocabulary")
        return cls(int(vocabulary), tokens, units, all_counts, own)


def make(texts: Iterable[Sequence[int] | Ints], vocabulary: int) -> Baseline | None:
    """Make a baseline of independent documents, as token ids; None of too few. Of very many, the first ones count."""
    found = [pieces for ids in texts if (pieces := pieces_of(ids))][:_MOST_UNITS]
    if len(found) < FEWEST_UNITS:
        return None
    having, total = np.zeros(vocabulary, dtype=np.int64), np.zeros(vocabulary)
    for pieces in found:
        having[np.unique(pieces.tokens)] += 1
        total += pieces.total(vocabulary)
    tokens = np.flatnonzero(having >= _SHARED_BY)
    if len(tokens) > _MOST_TOKENS:
        tokens = np.sort(tokens[np.argsort(-total[tokens], kind="stable")[:_MOST_TOKENS]])
    counts = np.append(total[tokens], total.sum() - total[tokens].sum())
    bare = Baseline(vocabulary, tokens, [], counts, [])
    only_just = having[tokens] == _SHARED_BY
    units: list[Pieces] = []
    own: list[Floats] = []
    for pieces in found:
        mapped = bare.mapped(pieces)
        # A token that would not count without this document is one of the others to it.
        lost = np.append(only_just, False)[mapped.tokens]
        columns = np.where(lost, len(tokens), mapped.tokens)
        units.append(Pieces(mapped.starts, columns, mapped.counts))
        mine = units[-1].total(len(counts))
        # By the others alone, those tokens would have been among the others, too.
        mine[-1] -= counts[np.unique(mapped.tokens[lost])].sum()
        own.append(mine[columns])
    return Baseline(vocabulary, tokens, units, counts, own)
