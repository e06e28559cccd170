"""A run's tokens are made once, for all processes of a host and every resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from scenario_model.config import load_file as load_config
from scenario_model.data.packing import pack
from scenario_model.train.parallel import World
from scenario_model.train.plan import Plan, make_plan
from scenario_model.train.settings import TrainSettings
from scenario_model.train.tokenized import tokenized

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def plan(configure: Callable[..., Path]) -> Plan:
    made = make_plan(load_config(TrainSettings, configure()))
    made.folder.checkpoints.mkdir(parents=True)
    return made


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often tokens are made."""
    times: list[int] = []

    def counting(*given: Any) -> Any:
        times.append(len(times))
        return pack(*given)

    monkeypatch.setattr("scenario_model.train.tokenized.pack", counting)
    return times


def world(rank: int, hosts: tuple[int, ...] = (0, 0)) -> World:
    return World(rank, 1, torch.device("cpu"), hosts)


def test_another_process_and_a_resume_read_what_the_first_one_made(plan: Plan, counted: list[int]) -> None:
    first = tokenized(plan, world(0))
    for rank in (0, 1):
        again = tokenized(plan, world(rank))
        assert torch.equal(first.tokens, again.tokens)
        assert torch.equal(first.targets, again.targets)
        assert torch.equal(first.positions, again.positions)
        assert first.notes == again.notes
    assert len(counted) == 1


def test_a_process_on_another_host_makes_its_own(plan: Plan, counted: list[int]) -> None:
    first = tokenized(plan, world(0))
    far = tokenized(plan, world(1, hosts=(0, 1)))
    assert torch.equal(first.tokens, far.tokens)
    assert len(counted) == 2


def test_tokens_that_were_torn_or_changed_are_made_again(plan: Plan, counted: list[int]) -> None:
    first = tokenized(plan, world(0))
    file = plan.folder.checkpoints / "tokens.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    for damaged in (bytes(content), bytes(content[:100]), b""):
        file.write_bytes(damaged)
        assert torch.equal(first.tokens, tokenized(plan, world(0)).tokens)
    assert len(counted) == 4


def test_processes_without_work_are_said_in_the_plan_and_the_default_has_none(
    configure: Callable[..., Path],
) -> None:
    settings = load_config(TrainSettings, configure(sequence_length=512, tokens_per_step=1024))
    assert make_plan(settings, 8).notes[-1] == (
        "6 of 8 processes have no work: raise recipe.tokens_per_step to 4096 or more"
    )
    by_default = settings.model_copy(
        update={"recipe": settings.recipe.model_copy(update={"tokens_per_step": None})}
    )
    made = make_plan(by_default, 8)
    assert made.notes == ()
    assert made.settings.recipe.tokens_per_step == 4096
    assert make_plan(by_default, 1).settings.recipe.tokens_per_step == 1024
