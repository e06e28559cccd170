"""What s3-local makes of its settings before it declares anything; and what stops it in one line."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from components.premises.errors import PremisesError
from components.premises.hosts import Host, Inventory
from stacks import s3_local, scenario
from stacks.settings import PROJECT, Settings, read_settings

REMOTE = Host(name="serve-1", address="192.0.2.7", local=False, groups=("premises", "inference"))
LOCAL = Host(name="localhost", address="localhost", local=True, groups=("premises", "inference"))


def inventory(*hosts: Host) -> Inventory:
    return Inventory(path=Path("i.yml"), hosts=hosts, digest="sha256:0")


def settings(**config: str) -> Settings:
    return read_settings("s3-local", {key.replace("__", ":"): text for key, text in config.items()})


def names(serving: str, *hosts: Host) -> list[str]:
    return s3_local.server_names(
        read_settings("s3-local", {f"{PROJECT}:serving": serving}), inventory(*hosts)
    )


def test_a_local_server_is_called_localhost() -> None:
    assert names("{}", LOCAL) == ["localhost", "127.0.0.1", "::1"]


def test_a_remote_server_goes_by_its_address_and_name_and_by_names_given() -> None:
    assert names('{"host": "0.0.0.0"}', REMOTE) == ["192.0.2.7", "serve-1"]
    assert names('{"host": "192.0.2.9", "names": ["llm.example.com"]}', REMOTE)[0] == "llm.example.com"
    assert "192.0.2.9" in names('{"host": "192.0.2.9"}', REMOTE)


def test_a_relative_root_is_below_the_project_and_for_local_hosts_only() -> None:
    relative = settings(premises__root=".state/x")
    assert s3_local.root_folder(relative, inventory(LOCAL)) == str(Path(".state/x").absolute())
    with pytest.raises(
        PremisesError, match=r"premises:root: '\.state/x' .* which is not on serve-1; give an"
    ):
        s3_local.root_folder(relative, inventory(LOCAL, REMOTE))
    for root in ("/srv/premises", "~/premises"):
        assert s3_local.root_folder(settings(premises__root=root), inventory(REMOTE)) == root


@pytest.mark.parametrize(
    ("stack", "config", "expected"),
    [
        ("prod", {}, "no scenario is named 'prod'; a stack is named after its scenario: s1-local-serving"),
        ("s2-cloud-training", {}, "s2-cloud-training is not built yet; built are: s3-local"),
        ("s3-local", {"aws:region": "eu-west-1"}, "s3-local keeps its data on the premises"),
        ("s3-local", {f"{PROJECT}:recipe": '{"rank": 0}'}, "recipe.rank: input should be greater than"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(stack: str, config: dict[str, str], expected: str) -> None:
    with pytest.raises(pulumi.RunError) as error:
        scenario.build(stack, config, [])
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
