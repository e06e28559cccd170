"""The sequences of each step: a function of seed and step only, so that resuming needs only a number."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from scenario_model.data.packing import IGNORED, Packed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.train.settings import Recipe


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Sequences processed at once, end to end in one row: int64 tensors, [1, tokens].

    `tokens`, `targets` and `positions` as in `Packed`; `lengths` of the documents (or parts) along the row.
    """

    tokens: Tensor
    targets: Tensor
    positions: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Batches:
    """The data in training order. Every process has all of it and takes its share of each step."""

    packed: Packed
    seed: int
    per_step: int
    micro_batch: int
    total: int
    """Sequences over all epochs."""
    steps: int

    @classmethod
    def of(cls, packed: Packed, recipe: Recipe) -> Batches:
        """Order the data as the recipe says."""
        total = len(packed.tokens) * recipe.epochs
        steps = -(-total // recipe.sequences_per_step)
        if recipe.max_steps is not None:
            steps = min(steps, recipe.max_steps)
        return cls(packed, recipe.seed, recipe.sequences_per_step, recipe.micro_batch, total, steps)

    def indices(self, step: int) -> list[int]:
        """The sequences of a step (from 0), in order: each epoch is a permutation of its own."""
        count = len(self.packed.tokens)
        places = range(step * self.per_step, min((step + 1) * self.per_step, self.total))
        orders = {epoch: self._order(epoch) for epoch in {place // count for place in places}}
        return [orders[place // count][place % count] for place in places]

    def target_tokens(self, step: int) -> int:
        """Number of target tokens of a step, over all processes."""
        return int((self.packed.targets[self.indices(step)] != IGNORED).sum())

    def micro_batches(self, step: int, rank: int, size: int) -> Iterator[MicroBatch]:
        """This process's share of a step; every process gets the same number of micro-batches.

        If a step does not divide evenly, the remaining ones get a sequence without targets.
        """
        indices = self.indices(step)
        share = -(-len(indices) // size)
        mine = indices[rank * share : (rank + 1) * share]
        for start in range(0, share, self.micro_batch):
            yield self._gather(mine[start : start + self.micro_batch])

    def _gather(self, indices: list[int]) -> MicroBatch:
        chosen = indices or [0]
        targets = self.packed.targets[chosen].view(1, -1)
        positions = self.packed.positions[chosen].view(1, -1)
        borders = [*(positions[0] == 0).nonzero().flatten().tolist(), positions.shape[1]]
        return MicroBatch(
            self.packed.tokens[chosen].view(1, -1),
            targets if indices else torch.full_like(targets, IGNORED),
            positions,
            tuple(end - begin for begin, end in itertools.pairwise(borders)),
        )

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
        order: list[int] = torch.randperm(len(self.packed.tokens), generator=generator).tolist()
        return order
