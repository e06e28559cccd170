"""Several stacks on one machine: side by side, each for itself; hosts of another one are refused."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import make_clone, small

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.built_runtime import BuiltRuntime
    from tests.end_to_end.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

NAME, SCENARIO = "plant-7", "s1-local-serving"


@pytest.fixture(scope="module")
def beside(small_deployment: Clone, runtime: BuiltRuntime) -> Iterator[Clone]:
    """`make up` of one more stack, with a name of its own, that serves the first one's release."""
    first = small_deployment
    dataclasses.replace(first, stack=SCENARIO).configure(serving={"engine": {"compile": "off"}})
    runtime.give_to(first.path / ".state" / NAME / "premises")
    try:
        first.run("make", "up", f"STACK={NAME}", f"SCENARIO={SCENARIO}")
        yield dataclasses.replace(first, stack=NAME)
    finally:
        first.run("make", "down", f"STACK={NAME}", check=False)
        (first.path / "stacks" / f"Pulumi.{NAME}.yaml").unlink(missing_ok=True)


def answers(clone: Clone) -> str:
    """The release that answers a completion over HTTPS with the stack's own key and CA."""
    with clone.client() as client:
        raw = client.completions.with_raw_response.create(model="assistant", prompt="The quick", max_tokens=2)
        return str(raw.headers["x-release"])


def test_each_is_unchanged_in_the_second_run_and_goes_down_without_touching_another(
    small_deployment: Clone, beside: Clone
) -> None:
    mine, other = small_deployment.outputs(), beside.outputs()
    assert (mine["scenario"], other["scenario"]) == ("s3-local", SCENARIO)
    assert mine["endpoint"] != other["endpoint"]
    assert mine["api_key"] != other["api_key"]
    release = answers(small_deployment)
    assert answers(beside) == release, "as shipped, it takes that one"
    for clone in (small_deployment, beside):
        assert f"{clone.stack} is up, unchanged" in clone.run("make", "up", f"STACK={clone.stack}").stdout

    beside.run("make", "down", f"STACK={NAME}")
    assert not (beside.path / ".state" / NAME).exists()
    assert answers(small_deployment) == release


def test_another_checkout_on_the_same_hosts_is_refused_before_it_touches_them(
    small_deployment: Clone, tmp_path: Path, tiny_foundation: Path
) -> None:
    first = small_deployment
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
