"""Units of traffic, as counts of tokens: sessions, or the documents of a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

LENGTHS = (40, 80, 160, 320)
"""Lengths of pieces, in tokens. Scores of longer ones vary less, so a piece is compared with those of its length."""
FEWEST_TOKENS = LENGTHS[0]
MOST_PIECES = 8
"""Pieces of a unit that count at most; of a longer one, some from all over it."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Counts of tokens in some pieces: piece `i` has `counts[starts[i]:starts[i + 1]]` of tokens `tokens[...]`."""

    starts: Ints
    tokens: Ints
    counts: Floats

    def __len__(self) -> int:
        """How many pieces."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> Floats:
        """Tokens of each piece."""
        return self.per_piece(self.counts)

    @property
    def length(self) -> int:
        """Tokens of each piece: all have as many."""
        return int(self.counts.sum()) // len(self)

    def per_piece(self, values: Floats) -> Floats:
        """Sums of one value for each entry, over each piece."""
        sums: Floats = np.add.reduceat(values, self.starts[:-1]) if len(self) else np.zeros(0)
        return sums

    def total(self, size: int) -> Floats:
        """Counts of all pieces together, for tokens below `size`."""
        counts: Floats = np.bincount(self.tokens, weights=self.counts, minlength=size).astype(np.float64)
        return counts

    def mean(self, values: Floats) -> Floats:
        """Mean over each piece's tokens of a value per entry."""
        mean: Floats = self.per_piece(values * self.counts) / self.sizes
        return mean

    def mapped(self, columns: Ints) -> Pieces:
        """The same with other names of tokens, one for each entry."""
        return Pieces(self.starts, columns, self.counts)

    @classmethod
    def joined(cls, parts: Sequence[Pieces]) -> Pieces:
        """All pieces of several units, one after the other."""
        ends = np.cumsum([0, *(len(part.tokens) for part in parts)])
        starts = [part.starts[:-1] + end for part, end in zip(parts, ends, strict=False)]
        return cls(
            np.concatenate([*starts, ends[-1:]]).astype(np.int64),
            np.concatenate([part.tokens for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )


def pieces_of(ids: Sequence[int] | Ints, length: int) -> Pieces:
    """A text's pieces, of a length that it has: what is left over at its end does not count."""
    ids = np.asarray(ids, dtype=np.int64)
    starts = np.arange(len(ids) // length) * length
    if len(starts) > MOST_PIECES:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_PIECES).astype(int)]
    found = [np.unique(ids[start : start + length], return_counts=True) for start in starts]
    places = np.cumsum([0, *(len(tokens) for tokens, _ in found)]).astype(np.int64)
    tokens = np.concatenate([tokens for tokens, _ in found])
    return Pieces(places, tokens, np.concatenate([counts for _, counts in found]).astype(np.float64))
