"""What the roles ask nvidia-smi, and what they make of its answers: recorded ones, and edited ones for faults."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.ansible.conftest import PLAYBOOKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

RECORDINGS = Path(__file__).with_name("nvidia_smi")
HEALTHY = sorted(path.stem for path in RECORDINGS.glob("*.csv"))
H100 = "nvidia-h100-80gb-hbm3__590.48.01"
SPLIT = [name for name in HEALTHY if "-mig__" in name]


def queries() -> list[list[str]]:
    """The fields of every query in a role."""
    texts = [path.read_text() for path in (PLAYBOOKS / "roles").rglob("*.yml")]
    found = [word for text in texts for word in _words(yaml.safe_load(text)) if "--query-gpu=" in word]
    return [word.partition("=")[2].split(",") for word in found]


def _words(node: Any) -> list[str]:
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        return [word for each in node for word in _words(each)]
    return [node] if isinstance(node, str) else []


def counters(name: str, **changes: str) -> str:
    """What the validation's query prints for a recorded GPU, but for the changes."""
    (row,) = csv.DictReader((RECORDINGS / f"{name}.csv").read_text().splitlines(), skipinitialspace=True)
    (asked,) = (query for query in queries() if "ecc.errors.uncorrected.volatile.total" in query)
    changed = {key.replace("__", "."): value for key, value in changes.items()}
    return ", ".join((row | changed)[field] for field in asked) + "\n"


def test_every_field_that_a_role_asks_for_is_known_to_all_recorded_drivers() -> None:
    known = set((RECORDINGS / "fields.txt").read_text().split())
    asked = {field for query in queries() for field in query}
    assert {"driver_version", "remapped_rows.failure"} <= asked
    assert asked <= known


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_gpu_has_no_memory_errors(name: str, module: Callable[[str], ModuleType]) -> None:
    assert module("host_verdict").counted_errors(counters(name)) == []


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"ecc__errors__uncorrected__volatile__total": "3"}, "uncorrected memory errors: 3"),
        ({"remapped_rows__pending": "Yes"}, "row remapping that waits for a reset: Yes"),
        ({"remapped_rows__failure": "Yes"}, "row remapping that failed: Yes"),
        ({"retired_pages__pending": "Yes"}, "page retirement that waits for a reset: Yes"),
        (
            {"gpu_recovery_action": "Drain and Reset"},
            "recovery action recommended by the driver: Drain and Reset",
        ),
        (
            {"ecc__errors__uncorrected__volatile__total": "[GPU requires reset]"},
            "uncorrected memory errors: [GPU requires reset]",
        ),
        (
            {"remapped_rows__pending": "[Unknown Error]"},
            "row remapping that waits for a reset: [Unknown Error]",
        ),
    ],
)
def test_faults_are_seen_in_the_words_of_nvidia_smi_and_unknown_words_too(
    changes: dict[str, str], failure: str, module: Callable[[str], ModuleType]
) -> None:
    assert module("host_verdict").counted_errors(counters(H100, **changes)) == [f"GPU 0: {failure}"]


def test_gpus_in_mig_mode_are_known_by_their_answer(module: Callable[[str], ModuleType]) -> None:
    assert SPLIT
    for name in HEALTHY:
        assert module("host_verdict").split_gpus(counters(name)) == (["0"] if name in SPLIT else [])


def test_the_columns_of_the_query_are_those_that_are_judged(module: Callable[[str], ModuleType]) -> None:
    line = counters(H100)
    judged = module("host_verdict")._COUNTERS
    assert len(line.split(",")) == 1 + len(judged) + 1  # the index before them, MIG mode after them


def test_alerts_and_validation_ignore_the_same_xids() -> None:
    from ansible.module_utils.gpu_errors import XIDS_OF_PROGRAMS

    rules = yaml.safe_load((PLAYBOOKS / "roles/monitoring/files/alerts.yml").read_text())
    (alert,) = (r for group in rules["groups"] for r in group["rules"] if r["alert"] == "GpuXid")
    (ignored,) = re.findall(r'xid!~"([0-9|]+)"', alert["expr"])
    assert {int(number) for number in ignored.split("|")} - {0} == XIDS_OF_PROGRAMS
