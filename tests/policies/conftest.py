"""Previews of the shipped stacks, as tests of previews have them."""

from __future__ import annotations

from tests.previews.conftest import stacks

__all__ = ["stacks"]
