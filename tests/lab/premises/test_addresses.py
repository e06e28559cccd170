"""The lab's addresses are in nobody's way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lab import LabError
from lab.premises import addresses
from lab.premises.addresses import Addresses, free_network

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A machine whose routes and addresses the test decides on."""
    uses: dict[str, list[str]] = {"routes": ["default", "192.168.1.0/24"], "addresses": ["192.168.1.7/24"]}

    def run(command: Sequence[str]) -> str:
        if "route" in command:
            return json.dumps([{"dst": each} for each in uses["routes"]])
        each = [a.split("/") for a in uses["addresses"]]
        return json.dumps([{"addr_info": [{"local": a, "prefixlen": int(p)} for a, p in each]}])

    monkeypatch.setattr(addresses, "run", run)
    monkeypatch.delenv("LAB_NETWORK", raising=False)
    return uses


def test_a_range_that_the_machine_uses_is_left_alone(machine: dict[str, list[str]]) -> None:
    first = free_network()
    machine["routes"].append(first.replace(".0/22", ".8/30"))  # a corner of it
    second = free_network()
    machine["addresses"].append("10.0.0.5/8")  # a company's network
    third = free_network()
    assert first.startswith("10.")
    assert second.startswith("10.")
    assert third.startswith("172.")
    assert len({first, second, third}) == 3


def test_where_every_range_is_in_use_the_remedy_is_to_name_one(machine: dict[str, list[str]]) -> None:
    machine["routes"] += ["10.0.0.0/8", "172.16.0.0/12"]
    with pytest.raises(LabError, match=r"address ranges are in use .*; set LAB_NETWORK to a private /22"):
        free_network()


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ("192.168.0.0/22", r"LAB_NETWORK=192\.168\.0\.0/22: this machine uses 192\.168\.1\.0/24; choose"),
        ("8.8.8.0/22", r"LAB_NETWORK=8\.8\.8\.0/22: not a private /22; write it as 10\."),
        ("10.9.0.0/24", "not a private /22"),
        ("ten", "LAB_NETWORK=ten: .*; write it as 10\\."),
        ("10.9.0.1/22", "has host bits set"),
    ],
)
def test_a_named_range_that_will_not_do_is_refused_in_one_line(
    named: str, complaint: str, machine: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_NETWORK", named)
    with pytest.raises(LabError, match=complaint):
        free_network()


def test_a_named_range_is_taken(machine: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_NETWORK", "10.9.4.0/22")
    assert free_network() == "10.9.4.0/22"


def test_a_hosts_address_follows_from_its_name() -> None:
    lab = Addresses("10.9.4.0/22")
    assert lab.host("premises-1") == "10.9.4.101"
    assert lab.host("premises-99") == "10.9.4.199"
    assert lab.premises == "10.9.4.0/24"
    each = [lab.router, lab.router_outside, lab.outside, lab.router_inside, lab.machine]
    assert len({*each, lab.host("premises-1")}) == 6
