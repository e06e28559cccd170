"""What scenarios on the premises make of their settings before they declare anything; what stops them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pytest

from components.ansible.inventory import Host, Inventory
from components.errors import PremisesError, StackError
from stacks import program
from stacks.builders.premises import (
    _refuse_addresses_for_names,
    endpoint,
    root_folder,
    server_names,
    serving_variables,
)
from stacks.s3_local import Settings
from stacks.settings.read import PROJECT, SettingsError, read_settings

REMOTE = Host(name="serve-1", address="192.0.2.7", local=False, groups=("premises", "inference"))
LOCAL = Host(name="localhost", address="localhost", local=True, groups=("premises", "inference"))


def inventory(*hosts: Host) -> Inventory:
    names = {group for host in hosts for group in host.groups}
    groups = {name: tuple(host.name for host in hosts if name in host.groups) for name in names}
    return Inventory(path=Path("i.yml"), hosts=hosts, groups=groups, digest="sha256:0")


def names(serving: str, *hosts: Host, balancer: str = "{}") -> list[str]:
    config = {f"{PROJECT}:serving": serving, f"{PROJECT}:balancer": balancer}
    given = read_settings(Settings, "s3-local", config)
    return server_names(given.serving, given.balancer, inventory(*hosts))


def host(address: str, *groups: str) -> Host:
    return Host(
        name="serve-1", address=address, local=False, groups=("premises", *(groups or ("inference",)))
    )


@pytest.mark.parametrize(
    ("serving", "balancer", "served_by", "expected"),
    [
        ({}, {}, LOCAL, "localhost"),
        ({}, {}, REMOTE, "192.0.2.7"),
        ({}, {}, host("fd00::5"), "[fd00::5]"),
        ({}, {}, host("serve-1.example.com"), "serve-1.example.com"),
        ({"names": ["llm.example.com"]}, {}, REMOTE, "llm.example.com"),
        ({"names": ["fd00::5"]}, {}, REMOTE, "[fd00::5]"),
        ({"names": ["192.0.2.9"]}, {}, REMOTE, "192.0.2.9"),
        ({"names": ["*.example.com"]}, {}, REMOTE, "192.0.2.7"),
        ({"names": ["*.example.com", "llm.example.com"]}, {}, REMOTE, "llm.example.com"),
        ({"host": "0.0.0.0"}, {}, REMOTE, "192.0.2.7"),
        ({"host": "::"}, {}, LOCAL, "localhost"),
        ({"host": "::1"}, {}, LOCAL, "localhost"),
        ({"host": "192.0.2.9"}, {}, REMOTE, "192.0.2.9"),
        ({"host": "fd00::9"}, {}, LOCAL, "[fd00::9]"),
        ({"host": "192.0.2.9"}, {}, host("192.0.2.7", "balancer"), "192.0.2.7"),
        ({}, {"host": "192.0.2.50"}, host("192.0.2.7", "balancer"), "192.0.2.50"),
        ({}, {"host": "fd00::50"}, host("192.0.2.7", "balancer"), "[fd00::50]"),
        ({}, {"host": "192.0.2.50"}, REMOTE, "192.0.2.7"),
    ],
)
def test_the_endpoint_is_a_url_that_the_certificate_covers_whatever_the_name(
    serving: dict[str, Any], balancer: dict[str, Any], served_by: Host, expected: str
) -> None:
    called = names(json.dumps(serving), served_by, balancer=json.dumps(balancer))
    url = endpoint(called, 8443)
    assert url == f"https://{expected}:8443/v1"
    parts = urlsplit(url)
    assert (parts.hostname, parts.port) == (expected.strip("[]"), 8443)
    assert parts.hostname in called


@pytest.mark.parametrize(
    "name",
    ["https://llm", "llm:8443", "[fd00::5]", "fd00::5::", "*", "*.*.example.com", "10.0.0.256", "a b", "-a"],
)
def test_a_name_that_no_certificate_can_have_is_said_without_a_regular_expression(name: str) -> None:
    with pytest.raises(
        SettingsError, match=r"key 'serving\.names\[0\]' is .*; write a name, \*\.domain or an"
    ):
        names(json.dumps({"names": [name]}), REMOTE)


@pytest.mark.parametrize("setting", ["serving", "balancer"])
def test_a_host_to_listen_on_is_a_name_or_an_address(setting: str) -> None:
    for text in ("*", "0.0.0.0:8443", "[::]", "https://localhost"):
        given = {"serving": "{}", "balancer": "{}"} | {setting: json.dumps({"host": text})}
        with pytest.raises(SettingsError, match=rf"key '{setting}\.host' is .*; write an address or a name"):
            names(given["serving"], REMOTE, balancer=given["balancer"])


def test_a_local_server_is_called_localhost() -> None:
    assert names("{}", LOCAL) == ["localhost", "127.0.0.1", "::1"]


def test_a_remote_server_goes_by_its_address_and_name_and_by_names_given() -> None:
    assert names('{"host": "0.0.0.0"}', REMOTE) == ["192.0.2.7", "serve-1"]
    given = names('{"host": "192.0.2.9", "names": ["llm.example.com", "*.example.com"]}', REMOTE)
    assert given == ["llm.example.com", "*.example.com", "192.0.2.9", "192.0.2.7", "serve-1"]


def test_a_server_behind_a_balancer_needs_a_name() -> None:
    addressed = Host(name="192.0.2.7", address="192.0.2.7", local=False, groups=("premises", "inference"))
    balancer = Host(name="front", address="192.0.2.8", local=False, groups=("premises", "balancer"))
    _refuse_addresses_for_names("s1", inventory(addressed))
    _refuse_addresses_for_names("s1", inventory(REMOTE, balancer))
    with pytest.raises(
        PremisesError, match=r"192\.0\.2\.7 needs a name, .* serve-1 with ansible_host: 192\.0\.2\.7"
    ):
        _refuse_addresses_for_names("s1", inventory(addressed, balancer))


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
        ("s3-local", {"aws:region": "eu-west-1"}, "s3-local keeps its data on the premises"),
        ("s3-local", {f"{PROJECT}:recipe": '{"rank": 0}'}, "key 'recipe.rank' is 0; it must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(stack: str, config: dict[str, str], expected: str) -> None:
    with pytest.raises(pulumi.RunError) as error:
        program.build(stack, config, [])
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
