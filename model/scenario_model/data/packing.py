"""Packs whole documents into sequences of equal length, as few of them cut as possible.

A document that fits into a sequence is never cut: the longest come first, each into the fullest sequence that
has room for it (best-fit decreasing; Ding et al., "Fewer Truncations Improve Language Modeling", 2024). What is
left of a sequence is padding.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from scenario_model.data.documents import tokenize
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.data.documents import Document

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Packed:
    """All of the data as int64 tensors of shape [sequences, length].

    `tokens`; `targets`: the next token, IGNORED for prompts, padding, and document boundaries; `positions`:
    within the document; 0 starts a new one, so that documents do not see each other. `notes`: what was cut or
    left out, for a person.
    """

    tokens: Tensor
    targets: Tensor
    positions: Tensor
    notes: tuple[str, ...] = ()

    @property
    def target_tokens(self) -> int:
        """Number of target tokens in one pass over the data."""
        return int((self.targets != IGNORED).sum())


@dataclass(frozen=True, slots=True)
class _Part:
    """A document, or what fits of it: tokens, and the targets of each."""

    tokens: list[int]
    targets: list[int]


def pack(documents: Sequence[Document], tokenizer: Any, length: int) -> Packed:
    """Tokenize documents and lay them into sequences of `length` tokens.

    Plain text that is longer goes on in another sequence, from position 0: it does not see its first part. Of
    a longer conversation the beginning is kept: an answer without its question teaches nothing. Raises
    InputError if nothing is left to learn.
    """
    parts: list[_Part] = []
    texts = chats = lost = 0
    for document, tokens in zip(documents, tokenize(documents, tokenizer), strict=True):
        ids, learnt = tokens.ids, tokens.learnt
        targets = [ids[i + 1] if learnt[i + 1] else IGNORED for i in range(len(ids) - 1)] + [IGNORED]
        cut = [_Part(ids[at : at + length], targets[at : at + length]) for at in range(0, len(ids), length)]
        if len(cut) > 1 and document.spans is not None:
            chats += 1
            lost += _learnt([_Part(ids, targets)]) - _learnt(cut[:1])
            cut = cut[:1]
        texts += len(cut) > 1
        parts += [part for part in cut if _learnt([part])]
    if not parts:
        remedy = "raise recipe.sequence_length, or add data"
        raise InputError(f"no answer fits into {length} tokens", where="data", remedy=remedy)
    return _laid_out(parts, length, int(tokenizer.eos_token_id), _notes(texts, chats, lost, parts, length))


def _learnt(parts: Sequence[_Part]) -> int:
    return sum(target != IGNORED for part in parts for target in part.targets)


def _notes(texts: int, chats: int, lost: int, parts: Sequence[_Part], length: int) -> tuple[str, ...]:
    notes = []
    if texts:
        notes.append(
            f"{texts} documents are longer than recipe.sequence_length, {length} tokens, and are cut"
        )
    if chats:
        share = lost / max(1, lost + _learnt(parts))
        notes.append(
            f"{chats} conversations are longer than recipe.sequence_length, {length} tokens: their ends are left "
            f"out, {share:.1%} of what is to be learnt"
        )
    return tuple(notes)


def _laid_out(parts: Sequence[_Part], length: int, padding: int, notes: tuple[str, ...]) -> Packed:
    rows = _best_fit([len(part.tokens) for part in parts], length)
    tokens = torch.full((len(rows), length), padding)
    targets = torch.full((len(rows), length), IGNORED)
    positions = torch.zeros((len(rows), length), dtype=torch.int64)
    for row, chosen in enumerate(rows):
        at = 0
        for part in (parts[number] for number in chosen):
            end = at + len(part.tokens)
            tokens[row, at:end] = torch.tensor(part.tokens)
            targets[row, at:end] = torch.tensor(part.targets)
            positions[row, at:end] = torch.arange(end - at)
            at = end
        positions[row, at:] = torch.arange(length - at)
    return Packed(tokens, targets, positions, notes)


def _best_fit(sizes: Sequence[int], length: int) -> list[list[int]]:
    """Rows of indices into `sizes`, none above `length` in sum; the same sizes give the same rows."""
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}  # by the room that is left
    rooms: list[int] = []  # the keys of that, ascending
    for index in sorted(range(len(sizes)), key=lambda each: (-sizes[each], each)):
        place = bisect.bisect_left(rooms, sizes[index])
        if place == len(rooms):
            row, room = len(rows), length
            rows.append([])
        else:
            room = rooms[place]
            row = open_rows[room].pop()
            if not open_rows[room]:
                del open_rows[room], rooms[place]
        rows[row].append(index)
        left = room - sizes[index]
        if left:
            if left not in open_rows:
                bisect.insort(rooms, left)
            open_rows.setdefault(left, []).append(row)
    return rows
