"""The two sizes of a campaign: a small case that `make test` runs, and the whole of it, for `make soak`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def sizes(small: object, *, soak: object, hours: float = 1.0) -> list[ParameterSet]:
    """The sizes as parameters, of a fixture too; the large one has so many hours."""
    large = pytest.param(soak, marks=[pytest.mark.soak, pytest.mark.timeout(hours * 3600)])
    return [pytest.param(small), large]


def campaign(argument: str, small: object, *, soak: object, hours: float = 1.0) -> pytest.MarkDecorator:
    """Run a test with an argument of both sizes."""
    return pytest.mark.parametrize(argument, sizes(small, soak=soak, hours=hours))
