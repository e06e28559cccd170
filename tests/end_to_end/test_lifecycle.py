"""`s3-local` with a lifecycle, untouched by hand: traffic drifts, a better release is trained, tried and served."""

from __future__ import annotations

import random
import sys
import threading
import uuid
from typing import TYPE_CHECKING, Self

import httpx
import pytest
import yaml

from tests.end_to_end.conftest import brought_up, make_clone, small
from tests.end_to_end.site import client
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.built_runtime import BuiltRuntime
    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1800)]
USUAL = "the old river carries sand and light past seven quiet towns toward a wide grey sea".split()  # noqa: SIM905
OTHER = "a fast engine burns cheap fuel under bright lamps while nine loud trucks climb".split()  # noqa: SIM905


def text(words: list[str], drawn: random.Random) -> str:
    return " ".join(drawn.choice(words) for _ in range(150))


class Asking:
    """Sessions of `words`, one after another."""

    def __init__(self, clone: Clone) -> None:
        self.clone, self.words, self.drawn = clone, USUAL, random.Random(2)
        self.failed: list[str] = []
        self.releases: list[str] = []
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with client(self.clone) as http:
            while not self._over.wait(0.05):
                body = {"model": "assistant", "prompt": text(self.words, self.drawn), "max_tokens": 2}
                try:
                    answer = http.post(
                        "/v1/completions", json=body, headers={"X-Session-Id": uuid.uuid4().hex}, timeout=120
                    )
                    answer.raise_for_status()
                    self.releases.append(answer.headers["x-release"])
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))


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
    with Asking(clone) as asking:
        until(lambda: len(asking.releases) > 150, timeout_s=120)
        asking.words = OTHER
        add(tmp_path, OTHER, random.Random(3))
        until(lambda: asking.releases[-30:].count(first) == 0, timeout_s=600)
    # Here, without systemd, nobody keeps the socket while the server starts again.
    assert all("503" in each or "refused" in each or "disconnected" in each for each in asking.failed), (
        asking.failed[-1]
    )
    assert len(set(asking.releases)) == 2
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
