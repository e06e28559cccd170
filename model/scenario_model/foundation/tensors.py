"""The shapes of a model's tensors, read from the headers of its files alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def shapes(directory: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, by name, in a verified directory of safetensors."""
    from safetensors import safe_open

    found = {}
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                found[name] = tuple(file.get_slice(name).get_shape())
    return found


def parameters(directory: Path) -> int:
    """The number of the model's weights."""
    return sum(math.prod(shape) for shape in shapes(directory).values())
