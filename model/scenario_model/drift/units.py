"""Units of traffic, as counts of tokens: sessions, or the documents of a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

PIECE_TOKENS = 350
"""Tokens that are scored together: scores of longer texts vary less, so all have about this length."""
FEWEST_TOKENS = 30
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


def pieces_of(ids: Sequence[int] | Ints) -> Pieces | None:
    """A unit's pieces; None for too little text."""
    ids = np.asarray(ids, dtype=np.int64)
    if len(ids) < FEWEST_TOKENS:
        return None
    cut = list(_cut(ids))
    if len(cut) > MOST_PIECES:
        cut = [cut[at] for at in np.linspace(0, len(cut) - 1, MOST_PIECES).astype(int)]
    found = [np.unique(piece, return_counts=True) for piece in cut]
    starts = np.cumsum([0, *(len(tokens) for tokens, _ in found)]).astype(np.int64)
    tokens = np.concatenate([tokens for tokens, _ in found])
    return Pieces(starts, tokens, np.concatenate([counts for _, counts in found]).astype(np.float64))


def _cut(ids: Ints) -> Iterator[Ints]:
    for start in range(0, len(ids), PIECE_TOKENS):
        piece = ids[start : start + PIECE_TOKENS]
        if start == 0 or len(piece) >= FEWEST_TOKENS:
            yield piece
