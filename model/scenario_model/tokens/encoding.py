"""Token ids of text in which special tokens may be plain text.

A special token that a user wrote must not become the real one, which ends a turn or a document.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text as the model reads it.

    Within the [start, end) ranges of `literals`, special tokens are plain text. No token crosses `cut`, which is
    in none of them.
    """

    text: str
    literals: tuple[tuple[int, int], ...] = ()
    cut: int = 0

    def pieces(self) -> Iterator[tuple[int, str, bool]]:
        """Yield the text in parts: (start, part, whether it is literal)."""
        borders = {0, self.cut, len(self.text), *chain(*self.literals)}
        literal = {start for start, _ in self.literals}
        for start, end in pairwise(sorted(borders)):
            yield start, self.text[start:end], start in literal


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and for each the index of the character where it starts."""

    ids: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


def encode(texts: Sequence[Rendered], tokenizer: Any) -> list[Encoded]:
    """Tokenize all of `texts`, without adding a token; in two batches, which a fast tokenizer does in parallel.

    A part that occurs often, such as a special token spelled a hundred thousand times, is tokenized once.
    """
    pieces = [(number, *piece) for number, text in enumerate(texts) for piece in text.pieces()]
    found: dict[tuple[str, bool], Encoded] = {}
    for literal in (False, True):
        parts = list(dict.fromkeys(part for _, _, part, is_literal in pieces if is_literal == literal))
        if parts:
            batch = tokenizer(
                parts,
                add_special_tokens=False,
                split_special_tokens=literal,
                return_offsets_mapping=True,
                return_attention_mask=False,
                verbose=False,
            )
            for part, ids, offsets in zip(parts, batch["input_ids"], batch["offset_mapping"], strict=True):
                found[part, literal] = Encoded(ids, [start for start, _ in offsets])
    encoded = [Encoded() for _ in texts]
    for number, start, part, literal in pieces:
        encoded[number].ids.extend(found[part, literal].ids)
        encoded[number].starts.extend(start + each for each in found[part, literal].starts)
    return encoded


def beginning(tokenizer: Any) -> list[int]:
    """The tokens that a model expects before plain text, such as its beginning-of-sequence token; often none.

    A chat template writes them itself.
    """
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return list(whole[:start])
    return []
