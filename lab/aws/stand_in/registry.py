"""Every adapter by its type token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in import adapters

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Adapter


def registry() -> dict[str, Adapter]:
    """Return every adapter by its type token."""
    return {each.token: each for each in adapters.all_of_them()}
