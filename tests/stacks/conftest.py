"""Shared by the tests of what stacks declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stacks.settings.read import PROJECT
from tests.pulumi_mocks import mocked
from tests.stacks.declaring import ROOT
from tests.stacks.serving import STACK, Declared

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def serving_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Declared]:
    """What `s4-cloud-serving` declares."""
    monkeypatch.chdir(ROOT)
    mocks = Declared()
    with mocked(mocks, project=PROJECT, stack=STACK):
        yield mocks
