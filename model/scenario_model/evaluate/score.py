"""Scores documents in bits: every scored token exactly once, with the context before it, as in training.

A document longer than a window is read in windows that overlap by an eighth; each counts only tokens that the
one before did not score. Bits per byte of text compare models independently of their tokenizers
(https://arxiv.org/abs/2101.00027, section 3.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from scenario_model.data.documents import tokenize
from scenario_model.data.packing import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from scenario_model.data.documents import Document

_WINDOW = 1024
_TOKENS_PER_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Window:
    """Part of a document: model input, and for each position the token to be predicted or `IGNORED`."""

    document: int
    tokens: list[int]
    targets: list[int]


def windows(documents: Sequence[Document], tokenizer: Any, *, longest: int) -> list[Window]:
    """Cut documents into windows of at most `longest` tokens (the model's own limit), longest first."""
    size = min(_WINDOW, longest)
    cut = [
        window
        for index, tokens in enumerate(tokenize(documents, tokenizer))
        for window in _cut(index, tokens.ids, tokens.scored, size=size)
    ]
    return sorted(cut, key=lambda window: -len(window.tokens))


def _cut(document: int, tokens: list[int], scored: list[bool], *, size: int) -> Iterator[Window]:
    overlap = size // 8
    done = 1  # earlier tokens are already scored; the first one never is, as nothing predicts it
    while done < len(tokens):
        start = 0 if done == 1 else done - overlap
        end = min(start + size, len(tokens) - 1)
        targets = [
            tokens[at + 1] if at + 1 >= done and scored[at + 1] else IGNORED for at in range(start, end)
        ]
        if any(target != IGNORED for target in targets):
            yield Window(document, tokens[start:end], targets)
        done = end + 1


@torch.inference_mode()
def bits(
    model: Any, cut: Sequence[Window], documents: int, *, progress: Callable[[int], None]
) -> list[float]:
    """The bits that `model` needs for each of `documents`; `progress` gets the tokens done."""
    found = [0.0] * documents
    done = 0
    for batch in _batches(cut):
        tokens, targets = _padded(batch, model.device)
        logits = model(input_ids=tokens, use_cache=False).logits
        for row, window in enumerate(batch):
            # One window at a time in fp32: a whole batch over a large vocabulary would not fit.
            nats = torch.nn.functional.cross_entropy(
                logits[row].float(), targets[row].to(logits.device), ignore_index=IGNORED, reduction="sum"
            )
            found[window.document] += float(nats) / math.log(2)
            done += len(window.tokens)
        progress(done)
    return found


def _batches(cut: Sequence[Window]) -> Iterator[list[Window]]:
    """Batch windows of similar length; they are sorted by it."""
    batch: list[Window] = []
    for window in cut:
        if batch and (len(batch) + 1) * len(batch[0].tokens) > _TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _padded(batch: Sequence[Window], device: Any) -> tuple[Tensor, Tensor]:
    """Tokens and targets, int64 [windows, longest]; padded on the right, where no causal attention looks."""
    width = len(batch[0].tokens)
    tokens = [window.tokens + [0] * (width - len(window.tokens)) for window in batch]
    targets = [window.targets + [IGNORED] * (width - len(window.targets)) for window in batch]
    return torch.tensor(tokens, device=device), torch.tensor(targets, device=device)
