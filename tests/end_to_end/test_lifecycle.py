"""`s3-local` with a lifecycle, untouched by hand: traffic drifts, a better release is trained, tried and served."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.end_to_end.conftest import brought_up, make_clone, small
from tests.end_to_end.rollout import Load
from tests.topics import OTHER, USUAL, text
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.built_runtime import BuiltRuntime
    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.fixture
def clone(tmp_path: Path, tiny_foundation: Path, runtime: BuiltRuntime) -> Iterator[Clone]:
    clone = small(make_clone(tmp_path / "clone"), tiny_foundation)
    add(tmp_path, USUAL, random.Random(1))
    clone.configure(
        data={"path": str(tmp_path / "texts")},
        lifecycle={"approval": "auto", "cool_down_seconds": 1.0, "canary_requests": 40},
        serving={
            "observation": {"window_seconds": 1.0, "windows_per_false_alarm": 1000.0},
            "limits": {"requests_per_minute": 1_000_000},
        },
    )
    with brought_up(clone, runtime) as clone.said:
        yield clone


def add(folder: Path, words: list[str], drawn: random.Random) -> None:
    (folder / "texts").mkdir(exist_ok=True)
    for number in range(24):
        (folder / "texts" / f"{words[1]}-{number:02}.txt").write_text(text(words, drawn) + "\n")


def test_drift_leads_to_another_release_without_a_hand(clone: Clone, tmp_path: Path) -> None:
    first = str(clone.outputs()["release"])
    words, drawn = USUAL, random.Random(2)
    with Load(clone, prompt=lambda: text(words, drawn), pause=0.05) as load:
        until(lambda: load.answered > 150, timeout_s=120)
        words = OTHER
        add(tmp_path, OTHER, random.Random(3))
        until(lambda: first not in load.last, timeout_s=600)
    # Here, without systemd, nobody keeps the socket while the server starts again.
    assert all("503" in each or "refused" in each or "disconnected" in each for each in load.failed), (
        load.failed
    )
    assert len(load.releases) == 2
    lifecycle = next((clone.path / ".state").rglob("lifecycle.json"))
    command = [sys.executable, "-m", "scenario_model", "lifecycle", "history", "--config", str(lifecycle)]
    told = clone.run(*command).stdout
    for event in ("asked", "approved", "trained", "tried", "promoted"):
        assert f"  {event}" in told
    file = clone.path / "stacks" / "Pulumi.s3-local.yaml"
    content = yaml.safe_load(file.read_text())
    del content["config"]["model-deployment-scenarios:lifecycle"]
    file.write_text(yaml.safe_dump(content))
    clone.pulumi("up", "--yes", "--skip-preview")
    assert not list((clone.path / ".state").rglob("services/lifecycle.conf")), "asked for no more, it is gone"
