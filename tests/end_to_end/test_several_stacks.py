"""Several stacks on one machine: side by side, each for itself; hosts of another one are refused."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import brought_up, free_port, make_clone, small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.built_runtime import BuiltRuntime
    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

STACKS = {"plant-7": "s3-local", "s1-local-serving": "s1-local-serving"}


@pytest.fixture(scope="module")
def stacks(
    tmp_path_factory: pytest.TempPathFactory, tiny_foundation: Path, runtime: BuiltRuntime
) -> Iterator[dict[str, Clone]]:
    """`make up`, then two more stacks beside it: one of the same scenario, one that takes its release."""
    first = small(make_clone(tmp_path_factory.mktemp("several")), tiny_foundation)
    with brought_up(first, runtime) as first.said:
        beside = {name: dataclasses.replace(first, stack=name, port=free_port()) for name in STACKS}
        try:
            for name, scenario in STACKS.items():
                runtime.give_to(first.path / ".state" / name / "premises")
                if name == scenario:
                    beside[name].configure(serving={"port": beside[name].port, "engine": {"compile": "off"}})
                beside[name].said = first.run("make", "up", f"STACK={name}", f"SCENARIO={scenario}").stdout
            yield {"s3-local": first, **beside}
        finally:
            for name in STACKS:
                first.run("make", "down", f"STACK={name}", check=False)
                (first.path / "stacks" / "Pulumi.plant-7.yaml").unlink(missing_ok=True)


def answers(clone: Clone) -> str:
    """The release that answers a completion over HTTPS with the stack's own key and CA."""
    with clone.client() as client:
        raw = client.completions.with_raw_response.create(model="assistant", prompt="The quick", max_tokens=2)
        return str(raw.headers["x-release"])


def test_each_is_unchanged_in_the_second_run_and_goes_down_without_touching_another(
    stacks: dict[str, Clone],
) -> None:
    outputs = {name: clone.outputs() for name, clone in stacks.items()}
    assert [each["scenario"] for each in outputs.values()] == ["s3-local", "s3-local", "s1-local-serving"]
    assert len({each["endpoint"] for each in outputs.values()}) == 3
    assert len({each["api_key"] for each in outputs.values()}) == 3
    assert answers(stacks["s1-local-serving"]) == answers(stacks["s3-local"]), "as shipped, it takes that one"
    for name, clone in stacks.items():
        assert f"{name} is up, unchanged" in clone.run("make", "up", f"STACK={name}").stdout

    first = stacks["s3-local"]
    before = {name: answers(clone) for name, clone in stacks.items() if name != "plant-7"}
    first.run("make", "down", "STACK=plant-7")
    assert not (first.path / ".state" / "plant-7").exists()
    assert {name: answers(stacks[name]) for name in before} == before


def test_another_checkout_on_the_same_hosts_is_refused_before_it_touches_them(
    stacks: dict[str, Clone], tmp_path: Path, tiny_foundation: Path
) -> None:
    first = stacks["s3-local"]
    release = answers(first)
    other = small(make_clone(tmp_path / "other"), tiny_foundation)
    other.configure(**{"premises:root": str(first.path / ".state" / "s3-local" / "premises")})
    refused = other.run("make", "up", check=False)
    assert refused.returncode
    assert "belongs to the stack s3-local of another state; remove that one first" in refused.stdout
    assert answers(first) == release
    other.run("make", "down")
    assert answers(first) == release
    assert "unchanged" in first.run("make", "up").stdout
