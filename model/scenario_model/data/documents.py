"""A document: text with an id, and for conversations the parts that the model learns to write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.tokens.encoding import Rendered, beginning, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

Ranges = tuple[tuple[int, int], ...]
"""[start, end) ranges of characters."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text.

    Attributes:
        id: its name: a path, or a digest.
        text: what the model reads.
        spans: the parts to learn and to score; None: all of it, as plain text that the model continues.
        literals: the parts in which special tokens are plain text; in plain text they are so everywhere.
        cut: where tokens begin anew, because serving tokenizes the text before it by itself; 0: nowhere.
        family: documents of one family are on one side of the split; empty: the id.

    """

    id: str
    text: str
    spans: Ranges | None = None
    literals: Ranges = ()
    cut: int = 0
    family: str = ""

    def to_json(self) -> dict[str, Any]:
        """As a line of held_out.jsonl: id and text, and the others where they are not the default."""
        line: dict[str, Any] = {"id": self.id, "text": self.text}
        if self.spans is not None:
            line["spans"] = [list(span) for span in self.spans]
        if self.literals:
            line["literals"] = [list(literal) for literal in self.literals]
        if self.cut:
            line["cut"] = self.cut
        if self.family:
            line["family"] = self.family
        return line

    @property
    def rendered(self) -> Rendered:
        """As the tokenizer takes it."""
        literals = ((0, len(self.text)),) if self.spans is None else self.literals
        return Rendered(self.text, literals, self.cut)

    @property
    def learnt(self) -> str:
        """The text of its parts to learn."""
        spans = ((0, len(self.text)),) if self.spans is None else self.spans
        return "\n".join(self.text[start:end] for start, end in spans)


def family_of(document: Document) -> str:
    """The name that decides on which side of the split a document is."""
    return document.family or document.id


@dataclass(frozen=True, slots=True)
class Tokens:
    """A document's token ids; for each, whether it is learnt, and whether it is scored.

    The end-of-text token after plain text is learnt, but has no text to be scored by.
    """

    ids: list[int]
    learnt: list[bool]
    scored: list[bool]


def tokenize(documents: Sequence[Document], tokenizer: Any) -> list[Tokens]:
    """Tokenize documents as training and evaluation see them.

    Plain text begins as in serving, and ends with the end-of-text token; in conversations the chat template
    wrote all of that.
    """
    begins, ends = beginning(tokenizer), [tokenizer.eos_token_id]
    tokens = []
    for document, encoded in zip(documents, encode([d.rendered for d in documents], tokenizer), strict=True):
        if document.spans is None:
            text = [True] * len(encoded.ids)
            framed, around = [*begins, *encoded.ids, *ends], [False] * len(begins)
            tokens.append(Tokens(framed, [*around, *text, True], [*around, *text, False]))
        else:
            within = _within(encoded.starts, document.spans)
            tokens.append(Tokens(encoded.ids, within, within))
    return tokens


def _within(starts: Sequence[int], spans: Ranges) -> list[bool]:
    return [any(begin <= start < end for begin, end in spans) for start in starts]
