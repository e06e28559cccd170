"""Packs documents' tokens end to end into sequences of equal length: only the last one has padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.data.documents import Document

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Packed:
    """All of the data as int64 tensors of shape [sequences, length].

    `tokens`; `targets`: the next token, IGNORED for prompts, padding, and document boundaries; `positions`:
    within the document; 0 starts a new one, so that documents do not see each other.
    """

    tokens: Tensor
    targets: Tensor
    positions: Tensor

    @property
    def target_tokens(self) -> int:
        """Number of target tokens in one pass over the data."""
        return int((self.targets != IGNORED).sum())


def pack(documents: Sequence[Document], tokenizer: Any, length: int) -> Packed:
    """Tokenise, end each text with the end-of-text token, and cut the stream into sequences of `length`
    tokens.

    A document that is cut continues in the next sequence from position 0: it does not see its first part.
    """
    tokens: list[int] = []
    targets: list[int] = []
    starts: list[int] = []
    for document in documents:
        ids, learn = _tokenise(document, tokenizer)
        starts.append(len(tokens))
        tokens += ids
        targets += [ids[i + 1] if learn[i + 1] else IGNORED for i in range(len(ids) - 1)] + [IGNORED]
    total = -(-len(tokens) // length) * length
    padding = total - len(tokens)
    begins = torch.zeros(total, dtype=torch.bool)
    begins[torch.tensor([*starts, *range(0, total, length), *([len(tokens)] if padding else [])])] = True
    index = torch.arange(total)
    position = index - torch.where(begins, index, 0).cummax(0).values
    return Packed(
        torch.tensor(tokens + [tokenizer.eos_token_id] * padding).view(-1, length),
        torch.tensor(targets + [IGNORED] * padding).view(-1, length),
        position.view(-1, length),
    )


def _tokenise(document: Document, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Tokens, and for each whether it is a target."""
    if document.spans is None:
        ids = [*tokenizer(document.text, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
        return ids, [True] * len(ids)
    encoded = tokenizer(document.text, add_special_tokens=False, return_offsets_mapping=True)
    learn = [any(a <= start < b for a, b in document.spans) for start, _ in encoded.offset_mapping]
    return encoded.input_ids, learn
