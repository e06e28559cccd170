"""Settings of the hosts: who may call them, whom they may call, and what a scenario's placement allows."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

import tests.ansible.conftest  # noqa: F401  makes our module_utils importable
from components.premises.errors import PremisesError
from components.premises.hosts import Host, Inventory
from stacks import scenario
from stacks.managed_hosts import egress_variables
from stacks.placement import PlacementError, refuse_destinations
from stacks.settings import LocalSettings, SettingsError, read_settings

if TYPE_CHECKING:
    from types import ModuleType

    from stacks.premises import Egress

CONTROLLERS = ["10.1.0.0/24"]
MIRROR = {"to": "10.1.0.20", "protocol": "tcp", "ports": [443], "why": "the mirror"}


def config(egress: object = None, *, manage: str = "true") -> dict[str, str]:
    """A stack's settings as Pulumi hands them over: a boolean is text, a mapping is JSON."""
    given = {} if egress is None else {"premises:egress": json.dumps(egress)}
    return {"premises:manageHosts": manage, **given}


def egress_of(**changes: Any) -> Egress:
    given = read_settings(LocalSettings, "s3-local", config({"controllers": CONTROLLERS} | changes))
    assert given.premises.egress
    return given.premises.egress


def mistake(given: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as error:
        read_settings(LocalSettings, "s3-local", given)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def role() -> ModuleType:
    return importlib.import_module("ansible.module_utils.egress_rules")


def test_hosts_are_left_alone_unless_they_are_given() -> None:
    given = read_settings(LocalSettings, "s3-local", {})
    assert (given.premises.manage_hosts, given.premises.egress) == (False, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (config(), "premises: manageHosts closes the hosts to all that is not listed, and egress is not set"),
        (config({"controllers": CONTROLLERS}, manage="false"), "egress is set and manageHosts is not"),
        (config(manage="maybe"), "premises:manageHosts: input should be a valid boolean"),
        (
            config({"controllers": []}),
            "premises:egress.controllers: name the addresses that this machine has for",
        ),
        (config({}), "premises:egress.controllers: field required"),
        (config({"controller": CONTROLLERS}), "unknown key 'controller'; did you mean 'controllers'?"),
        (
            config({"controllers": ["10.1.0.1/24"]}),
            "premises:egress.controllers.0: 10.1.0.1/24 has host bits set; write an address or a network",
        ),
        (
            config({"controllers": CONTROLLERS, "clients": ["0.0.0.0/0"]}),
            "premises:egress.clients.0: 0.0.0.0/0 is every address there is; name the networks",
        ),
    ],
)
def test_a_mistake_is_one_line_with_a_remedy(given: dict[str, str], expected: str) -> None:
    assert expected in mistake(given)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"to": "mirror.example"},
            "allow.0.to: 'mirror.example' does not appear to be an IPv4 or IPv6 network",
        ),
        ({"to": "::/0"}, "allow.0.to: ::/0 is every address there is"),
        ({"to": "10.2.0.1/16"}, "allow.0.to: 10.2.0.1/16 has host bits set"),
        ({"ports": [0]}, "allow.0.ports.0: input should be greater than or equal to 1; got 0"),
        ({"ports": [65536]}, "allow.0.ports.0: input should be less than or equal to 65535"),
        ({"ports": []}, "allow.0: tcp and udp need ports, icmp has none"),
        ({"protocol": "icmp"}, "allow.0: tcp and udp need ports, icmp has none"),
        ({"why": 'a" } drop'}, "allow.0.why: give one line of 1 to 100 characters, without quotes"),
        ({"why": ""}, "allow.0.why: give one line"),
    ],
)
def test_what_the_role_refuses_on_a_host_is_refused_before(
    changes: dict[str, Any], expected: str, role: ModuleType
) -> None:
    with pytest.raises(role.PolicyError):
        role.allowed(MIRROR | changes, "egress_allow[0]")
    assert expected in mistake(config({"controllers": CONTROLLERS, "allow": [MIRROR | changes]}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ports": [True]}, "allow.0.ports.0: input should be a valid integer; got true"),
        ({"protocol": "sctp"}, "allow.0.protocol: input should be 'tcp', 'udp' or 'icmp'"),
        ({"to": "169.254.169.254"}, "allow.0.to: 169.254.169.254 is where clouds hand out credentials"),
        ({"to": "fd00:ec2::254"}, "is where clouds hand out credentials; no host may ask there"),
        ({"port": 443}, "allow.0: unknown key 'port'; did you mean 'ports'?"),
    ],
)
def test_so_is_what_the_role_need_not_say(changes: dict[str, Any], expected: str) -> None:
    assert expected in mistake(config({"controllers": CONTROLLERS, "allow": [MIRROR | changes]}))


def test_what_the_settings_take_the_role_takes_too(role: ModuleType) -> None:
    ping = {"to": "fd12::/64", "protocol": "icmp", "why": "the monitor's ping"}
    given = egress_of(allow=[MIRROR, ping], clients=["10.0.0.0/8"], time_servers=["10.1.0.30"])
    host = Host(name="serve-1", address="10.1.0.7", local=False, groups=("premises", "inference"))
    variables = egress_variables("s3-local", given, inventory(host))
    policy = role.Policy(
        controllers=[role.network(text, "") for text in variables["egress_controllers"]],
        peers=[role.network(text, "") for text in variables["egress_peers"]],
        clients=[role.network(text, "") for text in variables["egress_clients"]],
        time_servers=[role.network(text, "") for text in variables["base_time_servers"]],
        allow=[role.allowed(entry, "") for entry in variables["egress_allow"]],
    )
    rules = role.rules(policy)
    for line in (
        'ip daddr 10.1.0.20/32 tcp dport { 443 } accept comment "the mirror"',
        "ip6 daddr fd12::/64 icmpv6 type echo-request accept",
        "ip daddr { 10.1.0.30/32 } udp dport 123 accept",
        "ip saddr { 10.1.0.7/32 } accept",
    ):
        assert line in rules


@pytest.mark.parametrize("to", ["10.0.0.0/8", "172.31.0.0/16", "192.168.7.9", "fd12:3456::/48"])
def test_hosts_may_call_private_addresses_if_they_are_listed(to: str) -> None:
    refuse_destinations("s1-local-serving", {"allow.0.to": to})


@pytest.mark.parametrize(
    "to",
    [
        "8.8.8.8",
        "0.0.0.0/1",
        "10.0.0.0/7",
        "172.32.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "127.0.0.1",
        "2001:4860:4860::8888",
        "fe80::/10",
        "::ffff:10.0.0.1",
    ],
)
def test_data_that_stays_on_the_premises_has_no_way_to_another_address(to: str) -> None:
    with pytest.raises(
        PlacementError, match=r"keeps its data on the premises, so its hosts may call private"
    ):
        refuse_destinations("s3-local", {"allow.0.to": to})
    refuse_destinations("s4-cloud-serving", {"allow.0.to": to})


@pytest.mark.parametrize("stack", ["s1-local-serving", "s3-local"])
def test_a_preview_names_the_setting_and_the_rule_that_it_breaks(stack: str) -> None:
    egress = {"controllers": CONTROLLERS, "time_servers": ["162.159.200.1"]}
    egress["allow"] = [MIRROR, MIRROR | {"to": "203.0.113.0/24"}]  # type: ignore[list-item]
    release = {"model-deployment-scenarios:release": '{"kind": "stack", "stack": "s3-local"}'}
    given = config(egress) | (release if stack == "s1-local-serving" else {})
    with pytest.raises(pulumi.RunError) as error:
        scenario.build(stack, given, [])
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(
        f"stacks/Pulumi.{stack}.yaml: premises:egress.allow.1.to is 203.0.113.0/24, "
        "premises:egress.time_servers.0 is 162.159.200.1: "
    )


def inventory(*hosts: Host) -> Inventory:
    return Inventory(path=Path("i.yml"), hosts=hosts, digest="sha256:0")


def test_this_machine_is_not_closed_and_a_host_needs_an_address() -> None:
    here = Host(name="localhost", address="localhost", local=True, groups=("premises",))
    named = Host(name="serve-1", address="serve-1.example.com", local=False, groups=("premises",))
    with pytest.raises(PremisesError, match="premises:manageHosts: localhost is this machine, which would"):
        egress_variables("s3-local", egress_of(), inventory(here))
    with pytest.raises(PremisesError, match=r"serve-1 has none in i\.yml; set ansible_host to the address"):
        egress_variables("s3-local", egress_of(), inventory(named))
