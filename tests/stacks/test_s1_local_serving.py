"""What s1-local-serving says of a release that it cannot take, before anything is declared."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from components.errors import PremisesError, StackError
from stacks import s1_local_serving
from stacks.builders.release import _handed_out
from stacks.s1_local_serving import Settings
from stacks.settings.read import PROJECT, SettingsError, read_settings

if TYPE_CHECKING:
    from pathlib import Path

ID = f"assistant@sha256:{'0' * 64}"
STACK = "s1-local-serving"


def config(**sections: Any) -> dict[str, str]:
    return {f"{PROJECT}:{name}": json.dumps(value) for name, value in sections.items()}


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (None, "key 'release' is missing; add it"),
        ({"kind": "bucket"}, 'key \'release.kind\' is "bucket"; use one of "file", "url", "stack"'),
        ({"kind": "file", "path": "r"}, "key 'release.id' is missing; add it"),
        (
            {"kind": "stack", "stack": "s3-local", "id": ID},
            'key \'release.id\' belongs to kind "file" and "url"; this is kind "stack"',
        ),
        (
            {"kind": "url", "url": "ftp://x/r.tar", "id": ID, "verification_key": "k"},
            "key 'release.url' is \"ftp://x/r.tar\"; write a URL that begins with https://",
        ),
        (
            {"kind": "file", "path": "r", "id": "assistant", "verification_key": "k"},
            "key 'release.id' is \"assistant\"; write it as NAME@sha256:",
        ),
    ],
)
def test_a_release_that_is_not_fully_named_is_one_clear_mistake(release: Any, expected: str) -> None:
    given = config(release=release) if release else {}
    with pytest.raises(SettingsError, match=r"stacks/Pulumi\.s1-local-serving\.yaml: ") as error:
        read_settings(Settings, STACK, given)
    assert expected in str(error.value)


def build(given: dict[str, str]) -> None:
    async def declare() -> None:  # outputs want a running loop, which a program of Pulumi's has
        s1_local_serving.build(STACK, read_settings(Settings, STACK, given))

    asyncio.run(declare())


def test_a_key_or_a_release_that_is_not_there_is_named(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    release = {"kind": "file", "path": str(tmp_path / "none.tar"), "id": ID, "verification_key": str(key)}
    with pytest.raises(StackError, match=r"release\.verification_key: .*key\.pem: No such file"):
        build(config(release=release))
    key.write_text("a key")
    with pytest.raises(PremisesError, match=r"release\.path: .*none\.tar does not exist"):
        build(config(release=release))


def test_a_bundle_needs_a_key_and_must_be_one(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("a key")
    release = {"kind": "url", "url": "https://x/r.tar", "id": ID, "verification_key": str(key)}
    bundle = {"premises:bundle": str(tmp_path / "bundle")}
    with pytest.raises(PremisesError, match="premises:bundle is set but premises:bundleKey is not"):
        build(config(release=release) | bundle)
    with pytest.raises(PremisesError, match=r"no bundle in .*; run make bundle"):
        build(config(release=release) | bundle | {"premises:bundleKey": str(key)})


def test_a_stack_that_hands_out_no_release_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", said.append)

    class Unexported:
        """What a reference to a stack without such an output answers."""

        def get_output(self, _name: str) -> pulumi.Output[Any]:
            return pulumi.Output.from_input(None)

    async def ask() -> None:
        reference: Any = Unexported()
        await _handed_out(STACK, reference, "s3-local", "release_path").future()

    with pytest.raises(SystemExit):
        asyncio.run(ask())
    assert re.search(r"stack s3-local provides no release .*release\.export", said[0])
