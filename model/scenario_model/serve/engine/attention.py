"""Attention over a fixed key/value cache, as an attention function that Hugging Face models call.

A step's tokens are one row [1, tokens]: first one token of every generating sequence, then those of sequences
with a draft, then the prompt chunks. The linear layers process them all at once; only attention separates
them.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "scenario_model_cached"


class KeyValueCache:
    """Keys and values of all layers and slots, allocated once.

    `keys[layer]` and `values[layer]` are [slots, key-value heads, context, head dimension].
    """

    def __init__(
        self,
        shapes: list[tuple[int, int]],
        *,
        slots: int,
        context: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Allocate and touch the memory. `shapes`: (key-value heads, head dimension) of every layer."""
        # ones, not zeros: zero pages are only reserved by the system until they are written.
        self.keys, self.values = (
            [torch.ones(slots, heads, context, size, dtype=dtype, device=device) for heads, size in shapes]
            for _ in range(2)
        )

    def attach(self, network: torch.nn.Module) -> None:
        """Give every layer's attention its part of the cache, as `cached_keys` and `cached_values`."""
        for module in list(network.modules()):
            layer = getattr(module, "layer_idx", None)
            if isinstance(layer, int):
                module.register_buffer("cached_keys", self.keys[layer], persistent=False)
                module.register_buffer("cached_values", self.values[layer], persistent=False)

    @staticmethod
    def bytes_needed(shapes: list[tuple[int, int]], *, slots: int, context: int, dtype: torch.dtype) -> int:
        """Size in bytes of such a cache."""
        return sum(2 * slots * context * heads * size * dtype.itemsize for heads, size in shapes)


@dataclass(frozen=True, slots=True)
class Segment:
    """A prompt chunk: rows [row, row + length) of the step go to `slot` from position `start`."""

    slot: int
    row: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Draft:
    """The newest token of `slot` and guesses after it: rows [row, row + length) of the step.

    They attend to the slot's first `span` positions. mask: [length, 1, 1, span], what each may attend to.
    """

    slot: int
    row: int
    length: int
    span: int
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """Maps a step's rows to slots.

    slots, positions: [tokens] of every row. decoding: number of leading rows that are single tokens.
    reach: slots [0, reach) and their first `span` positions contain all that the decoding rows attend to.
    mask: [reach, 1, 1, span], what each slot may attend to: 0, or -inf; in the cache's dtype.
    in_order: the decoding rows are those of slots 0, 1, 2, and so on.
    """

    slots: torch.Tensor
    positions: torch.Tensor
    decoding: int
    reach: int
    span: int
    mask: torch.Tensor | None
    in_order: bool
    drafts: tuple[Draft, ...]
    segments: tuple[Segment, ...]


# In a compiled layer, attention is one opaque operation: the step is passed this way.
_this_thread = threading.local()


@contextlib.contextmanager
def computing(step: Step) -> Iterator[None]:
    """Within it, the attention of this thread is that of `step`."""
    _this_thread.step = step
    try:
        yield
    finally:
        del _this_thread.step


def current_step() -> Step:
    """Return this thread's current step."""
    step: Step = _this_thread.step
    return step


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 - required by the interface; the step has the masks
    *,
    scaling: float,
    dropout: float = 0.0,  # noqa: ARG001 - required by the interface
    **others: object,
) -> tuple[torch.Tensor, None]:
    """Store this step's keys and values, then let each row attend to its own sequence up to itself.

    query [1, heads, tokens, size], key and value [1, key-value heads, tokens, size];
    the result is [1, tokens, heads, size].
    Raises TypeError for unsupported attention (soft cap, sinks, a window shorter than the cache, latent keys).
    """
    unknown = [name for name in _CHANGES_THE_RESULT if others.get(name) is not None]
    window, cached = others.get("sliding_window"), module.cached_keys
    if isinstance(window, int) and isinstance(cached, torch.Tensor) and window >= cached.shape[2]:
        unknown.remove("sliding_window")
    if key.shape[-1] != value.shape[-1]:
        unknown.append("keys and values of different sizes")
    if unknown:
        raise TypeError(f"attention with {', '.join(unknown)}")
    return _attend(query, key, value, module.cached_keys, module.cached_values, scaling), None


_CHANGES_THE_RESULT = ("sliding_window", "softcap", "s_aux", "position_bias")


def _compute(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    step = current_step()
    keys[step.slots, :, step.positions] = key[0].transpose(0, 1).to(keys.dtype)
    values[step.slots, :, step.positions] = value[0].transpose(0, 1).to(values.dtype)
    rows = query.to(keys.dtype)
    parts = []
    if step.decoding:
        parts.append(_attend_decoding(rows[0, :, : step.decoding], keys, values, scaling, step))
    for draft in step.drafts:
        guesses = rows[0, :, draft.row : draft.row + draft.length]
        parts.append(_attend_draft(guesses, keys, values, scaling, draft))
    for segment in step.segments:
        chunk = rows[:, :, segment.row : segment.row + segment.length]
        parts.append(_attend_segment(chunk, keys, values, scaling, segment))
    seen = parts[0] if len(parts) == 1 else torch.cat(parts)
    return seen.unsqueeze(0).to(query.dtype)


def _shape(
    query: torch.Tensor,
    key: torch.Tensor,  # noqa: ARG001
    value: torch.Tensor,  # noqa: ARG001
    keys: torch.Tensor,  # noqa: ARG001
    values: torch.Tensor,  # noqa: ARG001
    scaling: float,  # noqa: ARG001
) -> torch.Tensor:
    return query.new_empty(1, query.shape[2], query.shape[1], query.shape[3])


# Registered by hand: the checks of `torch.library.custom_op` take longer than the attention itself.
_library = torch.library.Library("scenario_model", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(  # type: ignore[no-untyped-call]
    "attend(Tensor query, Tensor key, Tensor value, Tensor(a!) keys, Tensor(b!) values, float scaling)"
    " -> Tensor"
)
_library.impl("attend", _compute, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("scenario_model::attend", _shape, lib=_library)
_attend = torch.ops.scenario_model.attend.default


def _attend_decoding(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float, step: Step
) -> torch.Tensor:
    """One token for each of `step.decoding` slots: [heads, rows, size] -> [rows, heads, size]."""
    heads, rows, size = query.shape
    slots = step.slots[:rows]
    grouped = _grouped(query, keys.shape[1])
    if not step.in_order:
        # Slots without a row compute garbage that is never read.
        by_row = grouped
        grouped = query.new_zeros(step.reach, *by_row.shape[1:])
        grouped[slots] = by_row
    keys, values = keys[: step.reach, :, : step.span], values[: step.reach, :, : step.span]
    seen = scaled_dot_product_attention(grouped, keys, values, attn_mask=step.mask, scale=scaling)
    return (seen if step.in_order else seen[slots]).reshape(rows, heads, size)


def _attend_draft(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float, draft: Draft
) -> torch.Tensor:
    """A token and guesses after it: [heads, length, size] -> [length, heads, size].

    Computed as if each had its own slot, all with the same keys, so that rounding is as without drafts.
    """
    heads, length, size = query.shape
    keys = keys[draft.slot, None, :, : draft.span].expand(length, -1, -1, -1)
    values = values[draft.slot, None, :, : draft.span].expand(length, -1, -1, -1)
    seen = scaled_dot_product_attention(
        _grouped(query, keys.shape[1]), keys, values, attn_mask=draft.mask, scale=scaling
    )
    return seen.reshape(length, heads, size)


def _grouped(query: torch.Tensor, shared: int) -> torch.Tensor:
    """Combine heads that share keys into one small matrix: [heads, rows, size] -> [rows, shared, -1, size]."""
    heads, rows, size = query.shape
    return query.view(shared, heads // shared, rows, size).permute(2, 0, 1, 3)


def _attend_segment(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float, segment: Segment
) -> torch.Tensor:
    """A prompt chunk of one slot: [1, heads, length, size] -> [length, heads, size]."""
    end = segment.start + segment.length
    keys, values = keys[segment.slot, None, :, :end], values[segment.slot, None, :, :end]
    mask = None
    if segment.start:
        mask = torch.ones(segment.length, end, dtype=torch.bool, device=query.device).tril(segment.start)
    seen = scaled_dot_product_attention(
        query, keys, values, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=True
    )
    return seen[0].transpose(0, 1)
