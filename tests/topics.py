"""What people write about before and after a change: texts of a few words each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

USUAL = "the old river carries sand and light past seven quiet towns toward a wide grey sea".split()  # noqa: SIM905
OTHER = "a fast engine burns cheap fuel under bright lamps while nine loud trucks climb".split()  # noqa: SIM905


def text(words: list[str], drawn: random.Random, number: int = 150) -> str:
    """So many of the words, as they come."""
    return " ".join(drawn.choice(words) for _ in range(number))
