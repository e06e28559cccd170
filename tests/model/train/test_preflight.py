"""Devices and links are checked before a training; what is wrong names its node and may be started again elsewhere.

That whole ones pass, in two processes, is in test_processes.py: every training over several begins with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from scenario_model.errors import TemporaryError
from scenario_model.train import preflight
from scenario_model.train.parallel import World

if TYPE_CHECKING:
    from torch import Tensor

CPU = torch.device("cpu")
DEVICES = [CPU, *([torch.device("cuda", 0)] if torch.cuda.is_available() else [])]


@pytest.fixture(autouse=True)
def node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE", "ip-10-80-1-2")


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_a_whole_device_passes_and_one_wrong_number_is_found(device: torch.device) -> None:
    assert preflight.wrong_product(device) == ""
    times = 0

    def multiply(left: Tensor, right: Tensor) -> Tensor:
        nonlocal times
        times += 1
        product = left @ right
        if times == 1:
            product[3, 5] += 1
        return product

    assert "computed 1 wrong products" in preflight.wrong_product(device, multiply)


class Broken(World):
    """A process whose sums are wrong in one place, and which hears of no other: a stand-in for a bad link."""

    def total(self, values: Tensor) -> Tensor:
        values += values - self.rank + (1 - self.rank)  # what the other one of two would add
        values[-1] += 0.5
        return values

    def share(self, value: Any, source: int = 0) -> Any:
        assert source in range(self.size)
        return value


def test_a_link_that_changes_a_number_names_the_node_and_the_job_may_start_again() -> None:
    world = Broken(1, 2, CPU, (0, 1))
    with pytest.raises(TemporaryError) as failed:
        preflight.check_hardware(world)
    assert failed.value.exit_code == 75
    assert str(failed.value).startswith(
        "check before the training: the processor of node ip-10-80-1-2 got 1 wrong sums over all processes; "
    )
    assert "the job starts again, maybe on another node" in str(failed.value)


def test_a_device_that_cannot_compute_at_all_names_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be …")

    monkeypatch.setattr(preflight, "wrong_product", fails)
    with pytest.raises(TemporaryError, match="node ip-10-80-1-2 fails: CUDA error: uncorrectable ECC error"):
        preflight.check_hardware(World(0, 1, CPU))
