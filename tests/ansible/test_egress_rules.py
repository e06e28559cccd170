"""Egress settings are judged before anything is loaded, and the rules say no more than they do."""

from __future__ import annotations

import importlib
import runpy
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import yaml

from tests.ansible.conftest import PLAYBOOKS  # which makes our module_utils importable

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture
def egress() -> ModuleType:
    return importlib.import_module("ansible.module_utils.egress_rules")


def entry(**changes: Any) -> dict[str, object]:
    return {"to": "10.2.0.0/16", "protocol": "tcp", "ports": [443], "why": "the mirror"} | changes


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"to": "mirror.example"},
            r"egress_allow\[0\]: 'mirror.example' does not appear to be .*; write an address",
        ),
        ({"to": "0.0.0.0/0"}, r"egress_allow\[0\]: 0.0.0.0/0 covers every address"),
        ({"to": "::/0"}, "covers every address"),
        ({"to": "10.2.0.1/16"}, "has host bits set"),
        ({"ports": [0]}, "invalid port 0"),
        ({"ports": []}, "tcp and udp need ports"),
        ({"protocol": "icmp"}, "icmp has none"),
        ({"why": 'a" } drop'}, "why must be one line"),
    ],
)
def test_an_entry_that_will_not_do_is_refused_in_one_line(
    egress: ModuleType, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(egress.PolicyError, match=complaint):
        egress.allowed(entry(**changes), "egress_allow[0]")


@pytest.mark.parametrize(
    ("connection", "refusal"),
    [
        ("10.1.0.7 50000 10.1.0.9 22", None),
        ("::ffff:10.1.0.7 50000 ::ffff:10.1.0.9 22", None),
        ("10.3.0.8 50000 10.1.0.9 22", None),
        ("", None),
        (
            "10.9.0.1 50000 10.1.0.9 22",
            "comes from 10.9.0.1, and egress_admin_networks is 10.1.0.0/24; add 10.9.0.1",
        ),
        ("fe80::1%eth0 50000 fe80::2 22", "comes from fe80::1, and"),
        ("10.1.0.7 50000 10.1.0.9 2222", "uses port 2222, and egress_ssh_port is 22; set it to 2222"),
    ],
)
def test_rules_that_would_cut_the_running_connection_are_refused(
    egress: ModuleType, connection: str, refusal: str | None
) -> None:
    policy = egress.Policy(admin_networks=[ip_network("10.1.0.0/24")], peers=[ip_network("10.3.0.8")])
    said = egress.refusal_of(policy, connection)
    assert said == refusal or (refusal and refusal in said)


def test_ipv6_has_its_neighbours_only_where_a_setting_names_it(egress: ModuleType) -> None:
    four = egress.Policy(admin_networks=[ip_network("10.1.0.7")])
    six = egress.Policy(admin_networks=[ip_network("10.1.0.7"), ip_network("2001:db8::7")])
    assert "nd-neighbor" not in egress.rules(four)
    assert egress.rules(six).count("nd-neighbor-solicit") == 2
    assert "ip6 saddr { 2001:db8::7/128 } tcp dport 22 accept" in egress.rules(six)


def test_the_metadata_address_is_refused_before_anything_is_allowed(egress: ModuleType) -> None:
    everything = egress.allowed(entry(to="169.254.0.0/16"), "x")
    lines = [
        line.strip()
        for line in egress.rules(egress.Policy(admin_networks=[], allow=[everything])).splitlines()
    ]
    refused = lines.index("ip daddr 169.254.169.254/32 counter drop")
    assert refused < lines.index('ip daddr 169.254.0.0/16 tcp dport { 443 } accept comment "the mirror"')
    assert refused < lines.index(
        "ct direction reply ct state established accept", lines.index("chain output {")
    )


def test_networks_that_overlap_are_one(egress: ModuleType) -> None:
    policy = egress.Policy(admin_networks=[ip_network("10.1.0.0/24"), ip_network("10.1.0.7")])
    assert "ip saddr { 10.1.0.0/24 } tcp dport 22 accept" in egress.rules(policy)


def test_clients_may_call_one_port_or_none(egress: ModuleType) -> None:
    clients = [ip_network("10.0.0.0/8")]
    open_to_them = "ip saddr { 10.0.0.0/8 } tcp dport"
    assert f"{open_to_them} 9443 accept" in egress.rules(
        egress.Policy(admin_networks=[], clients=clients, serving_port=9443)
    )
    assert open_to_them not in egress.rules(egress.Policy(admin_networks=[], clients=clients, serving_port=0))


FILTERS = PLAYBOOKS / "filter_plugins" / "scenario.py"
SERVING_ALONE = {"training": ["t"], "inference": ["s"]}
BALANCED = SERVING_ALONE | {"balancer": ["b"]}


@pytest.mark.parametrize(
    ("host", "groups", "given", "port"),
    [
        ("s", SERVING_ALONE, {}, 8443),
        ("s", SERVING_ALONE, {"serving": {"port": 8500}}, 8500),
        ("t", SERVING_ALONE, {}, 0),
        ("b", BALANCED, {}, 9443),
        ("b", BALANCED, {"balancer": {"port": 443}, "serving": {"port": 8500}}, 443),
        ("s", BALANCED, {"serving": {"port": 8500}}, 0),
        ("x", {"premises": ["x"]}, {}, 8443),
    ],
)
def test_the_port_for_clients_is_the_endpoints(
    host: str, groups: dict[str, list[str]], given: dict[str, Any], port: int
) -> None:
    defaults = yaml.safe_load((PLAYBOOKS / "roles" / "egress" / "defaults" / "main.yml").read_text())
    environment = jinja2.Environment(autoescape=True)
    environment.filters["with_defaults"] = runpy.run_path(str(FILTERS))["with_defaults"]
    template = environment.from_string(defaults["egress_serving_port"])
    assert template.render(inventory_hostname=host, groups=groups, **given).strip() == str(port)
