"""Settings of the hosts: who may call them, whom they may call, and what a scenario's placement allows."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

import tests.ansible.conftest  # noqa: F401  makes our module_utils importable
from components.ansible.inventory import Host, Inventory, read_inventory
from components.errors import PremisesError
from stacks import program
from stacks.builders.hosts import egress_variables
from stacks.residency import ResidencyError, refuse_destinations
from stacks.s3_local import Settings
from stacks.scenarios import SCENARIOS
from stacks.settings.read import SettingsError, read_settings

if TYPE_CHECKING:
    from types import ModuleType

    from stacks.settings.premises import Egress

ADMINS = ["10.1.0.0/24"]
MIRROR = {"to": "10.1.0.20", "protocol": "tcp", "ports": [443], "why": "the mirror"}


def config(egress: object = None, *, manage: str = "true") -> dict[str, str]:
    """A stack's settings as Pulumi hands them over: a boolean is text, a mapping is JSON."""
    given = {} if egress is None else {"premises:egress": json.dumps(egress)}
    return {"premises:manageHosts": manage, **given}


def egress_of(**changes: Any) -> Egress:
    given = read_settings(Settings, "s3-local", config({"admin_networks": ADMINS} | changes))
    assert given.premises.egress
    return given.premises.egress


def mistake(given: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as error:
        read_settings(Settings, "s3-local", given)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def role() -> ModuleType:
    return importlib.import_module("ansible.module_utils.egress_rules")


def test_hosts_are_left_alone_unless_they_are_given() -> None:
    given = read_settings(Settings, "s3-local", {})
    assert (given.premises.manage_hosts, given.premises.egress) == (False, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (config(), "premises: manageHosts closes the hosts to everything not listed, but egress is not set"),
        (config({"admin_networks": ADMINS}, manage="false"), "egress is set but manageHosts is not"),
        (config(manage="maybe"), "key 'premises:manageHosts' is \"maybe\"; it must be true or false"),
        (
            config({"admin_networks": []}),
            "premises:egress.admin_networks: name the addresses from which this machine reaches",
        ),
        (config({}), "key 'premises:egress.admin_networks' is missing; add it"),
        (
            config({"admin_network": ADMINS}),
            "unknown key 'premises:egress.admin_network'; did you mean 'admin_networks'?",
        ),
        (
            config({"admin_networks": ["10.1.0.1/24"]}),
            "premises:egress.admin_networks[0]: 10.1.0.1/24 has host bits set; write an address or a network",
        ),
        (
            config({"admin_networks": ADMINS, "clients": ["0.0.0.0/0"]}),
            "premises:egress.clients[0]: 0.0.0.0/0 covers every address; name specific networks",
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
            "allow[0].to: 'mirror.example' does not appear to be an IPv4 or IPv6 network",
        ),
        ({"to": "::/0"}, "allow[0].to: ::/0 covers every address"),
        ({"to": "10.2.0.1/16"}, "allow[0].to: 10.2.0.1/16 has host bits set"),
        ({"ports": [0]}, "allow[0].ports[0]' is 0; it must be at least 1"),
        ({"ports": [65536]}, "allow[0].ports[0]' is 65536; it must be at most 65535"),
        ({"ports": []}, "allow[0]: tcp and udp need ports; icmp must not have any"),
        ({"protocol": "icmp"}, "allow[0]: tcp and udp need ports; icmp must not have any"),
        ({"why": 'a" } drop'}, "allow[0].why: give one line of 1 to 100 characters, without quotes"),
        ({"why": ""}, 'allow[0].why\' is ""; it must be a non-empty text'),
    ],
)
def test_what_the_role_refuses_on_a_host_is_refused_before(
    changes: dict[str, Any], expected: str, role: ModuleType
) -> None:
    with pytest.raises(role.PolicyError):
        role.allowed(MIRROR | changes, "egress_allow[0]")
    assert expected in mistake(config({"admin_networks": ADMINS, "allow": [MIRROR | changes]}))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ports": [True]}, "allow[0].ports[0]' is true; it must be a whole number"),
        ({"protocol": "sctp"}, 'allow[0].protocol\' is "sctp"; use one of'),
        ({"to": "169.254.169.254"}, "allow[0].to: 169.254.169.254 serves a cloud's credentials"),
        ({"to": "fd00:ec2::254"}, "serves a cloud's credentials; hosts must not reach it"),
        ({"port": 443}, "allow[0].port'; did you mean 'ports'?"),
    ],
)
def test_so_is_what_the_role_need_not_say(changes: dict[str, Any], expected: str) -> None:
    assert expected in mistake(config({"admin_networks": ADMINS, "allow": [MIRROR | changes]}))


def test_what_the_settings_take_the_role_takes_too(role: ModuleType) -> None:
    ping = {"to": "fd12::/64", "protocol": "icmp", "why": "the monitor's ping"}
    given = egress_of(allow=[MIRROR, ping], clients=["10.0.0.0/8"], time_servers=["10.1.0.30"])
    host = Host(name="serve-1", address="10.1.0.7", local=False, groups=("premises", "inference"))
    variables = egress_variables("s3-local", given, inventory(host))
    policy = role.Policy(
        admin_networks=[role.network(text, "") for text in variables["egress_admin_networks"]],
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
    refuse_destinations("plant-7", SCENARIOS["s1-local-serving"], {"allow.0.to": to})


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
        ResidencyError, match=r"keeps its data on the premises, so its hosts may call private"
    ):
        refuse_destinations("plant-7", SCENARIOS["s3-local"], {"allow.0.to": to})
    refuse_destinations("plant-7", SCENARIOS["s4-cloud-serving"], {"allow.0.to": to})


@pytest.mark.parametrize("stack", ["s1-local-serving", "s3-local"])
def test_a_preview_names_the_setting_and_the_rule_that_it_breaks(stack: str) -> None:
    egress = {"admin_networks": ADMINS, "time_servers": ["162.159.200.1"]}
    egress["allow"] = [MIRROR, MIRROR | {"to": "203.0.113.0/24"}]  # type: ignore[list-item]
    release = {"model-deployment-scenarios:release": '{"kind": "stack", "stack": "s3-local"}'}
    given = config(egress) | (release if stack == "s1-local-serving" else {})
    with pytest.raises(pulumi.RunError) as error:
        program.build(stack, given, [])
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(
        f"stacks/Pulumi.{stack}.yaml: premises:egress.allow[1].to is 203.0.113.0/24, "
        "premises:egress.time_servers[0] is 162.159.200.1: "
    )


def inventory(*hosts: Host) -> Inventory:
    names = {group for host in hosts for group in host.groups}
    groups = {name: tuple(host.name for host in hosts if name in host.groups) for name in names}
    return Inventory(path=Path("i.yml"), hosts=hosts, groups=groups, digest="sha256:0")


def test_this_machine_is_not_closed_and_a_host_needs_an_address() -> None:
    here = Host(name="localhost", address="localhost", local=True, groups=("premises",))
    named = Host(name="serve-1", address="serve-1.example.com", local=False, groups=("premises",))
    with pytest.raises(PremisesError, match="premises:manageHosts: localhost is this machine, which would"):
        egress_variables("s3-local", egress_of(), inventory(here))
    with pytest.raises(PremisesError, match=r"serve-1 has none in i\.yml; set ansible_host to the address"):
        egress_variables("s3-local", egress_of(), inventory(named))
    itself = Host(name="serve-1", address="127.0.0.1", local=False, groups=("premises",))
    with pytest.raises(PremisesError, match=r"serve-1 has none in i\.yml; set ansible_host to the address"):
        egress_variables("s3-local", egress_of(), inventory(itself))


@pytest.mark.parametrize(
    "place", ["group_vars/training/more.yml", "host_vars/serve-1", "ansible/ansible.cfg"]
)
def test_this_machine_is_not_closed_wherever_its_connection_is_set(tmp_path: Path, place: str) -> None:
    local = "[defaults]\ntransport = local\n" if place.endswith(".cfg") else "ansible_connection: local\n"
    inventory_ = "[premises:children]\ntraining\n[training]\nserve-1\n"
    texts = {"hosts": inventory_, "ansible/ansible.cfg": "", place: local}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    read = read_inventory(tmp_path / "hosts", groups=("training",), playbooks=tmp_path / "ansible")
    with pytest.raises(PremisesError, match="premises:manageHosts: serve-1 is this machine, which would"):
        egress_variables("s3-local", egress_of(), read)
