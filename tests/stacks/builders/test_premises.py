"""What scenarios on the premises make of their settings before they declare anything; what stops them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.ansible.inventory import Host, Inventory
from components.errors import PremisesError, StackError
from stacks import program
from stacks.builders.premises import root_folder, server_names, serving_variables
from stacks.s3_local import Settings
from stacks.settings.read import PROJECT, read_settings

REMOTE = Host(name="serve-1", address="192.0.2.7", local=False, groups=("premises", "inference"))
LOCAL = Host(name="localhost", address="localhost", local=True, groups=("premises", "inference"))


def inventory(*hosts: Host) -> Inventory:
    names = {group for host in hosts for group in host.groups}
    groups = {name: tuple(host.name for host in hosts if name in host.groups) for name in names}
    return Inventory(path=Path("i.yml"), hosts=hosts, groups=groups, digest="sha256:0")


def names(serving: str, *hosts: Host) -> list[str]:
    given = read_settings(Settings, "s3-local", {f"{PROJECT}:serving": serving})
    return server_names(given.serving, inventory(*hosts))


def test_a_local_server_is_called_localhost() -> None:
    assert names("{}", LOCAL) == ["localhost", "127.0.0.1", "::1"]


def test_a_remote_server_goes_by_its_address_and_name_and_by_names_given() -> None:
    assert names('{"host": "0.0.0.0"}', REMOTE) == ["192.0.2.7", "serve-1"]
    assert names('{"host": "192.0.2.9", "names": ["llm.example.com"]}', REMOTE)[0] == "llm.example.com"
    assert "192.0.2.9" in names('{"host": "192.0.2.9"}', REMOTE)


def test_a_relative_root_is_below_the_project_and_for_local_hosts_only() -> None:
    assert root_folder("s3-local", ".state/x", inventory(LOCAL)) == str(Path(".state/x").absolute())
    with pytest.raises(
        PremisesError, match=r"premises:root: '\.state/x' .* which is not on serve-1; give an"
    ):
        root_folder("s3-local", ".state/x", inventory(LOCAL, REMOTE))
    for root in ("/srv/premises", "~/premises"):
        assert root_folder("s3-local", root, inventory(REMOTE)) == root


def told(engine: str) -> dict[str, Any]:
    given = read_settings(Settings, "s3-local", {f"{PROJECT}:serving": f'{{"engine": {engine}}}'})
    return serving_variables("s3-local", given.serving)


def test_vllms_lock_is_part_of_what_playbooks_are_told(tmp_path: Path) -> None:
    assert set(told("{}")) == {"serving"}
    ours = told('{"kind": "vllm"}')
    lock = tmp_path / "other.lock"
    lock.write_text("vllm-for-cpus==1")
    other = told(f'{{"kind": "vllm", "device": "cpu", "requirements": "{lock}"}}')
    assert other["serving"]["engine"]["requirements"] == str(lock)
    assert ours["vllm_requirements_digest"] != other["vllm_requirements_digest"]
    with pytest.raises(StackError, match=r"serving\.engine\.requirements: no\.lock: No such file"):
        told('{"kind": "vllm", "requirements": "no.lock"}')


@pytest.mark.parametrize(
    ("stack", "config", "expected"),
    [
        (
            "prod",
            {},
            "Pulumi.prod.yaml: scenario is not set, and 'prod' is not the name of a scenario; set it to one of s1-",
        ),
        (
            "s4-cloud-serving",
            {},
            "s4-cloud-serving is not built yet; use one of s1-local-serving, s2-cloud-training, s3-local",
        ),
        ("s3-local", {"aws:region": "eu-west-1"}, "s3-local keeps its data on the premises"),
        ("s3-local", {f"{PROJECT}:recipe": '{"rank": 0}'}, "key 'recipe.rank' is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(stack: str, config: dict[str, str], expected: str) -> None:
    with pytest.raises(pulumi.RunError) as error:
        program.build(stack, config, [])
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
