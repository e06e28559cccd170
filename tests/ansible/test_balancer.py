"""What a balancer is told while the servers behind it change."""

from __future__ import annotations

from typing import Any

from tests.ansible.test_decisions import plugin

balancer = plugin("filter_plugins/balancer.py")


def told(
    port: int = 8443, authority: str = "first", hosts: tuple[str, ...] = ("one", "two")
) -> dict[str, Any]:
    addresses = {host: {"ansible_host": f"10.0.0.{number}"} for number, host in enumerate(hosts, 1)}
    return {
        "host": "0.0.0.0",
        "port": 9443,
        "certificate": f"/{authority}.pem",
        "authorities": [authority],
        "servers": balancer.server_addresses(hosts, addresses, port),
    }


def places(of: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(each["name"], each["host"], each["port"]) for each in of["servers"]]


def test_a_host_without_an_address_of_its_own_is_reached_by_its_name() -> None:
    (server,) = balancer.server_addresses(["gpu-1.example.com"], {"gpu-1.example.com": {}}, 8443)
    assert server["address"] == "gpu-1.example.com"


def test_nothing_changes_for_a_balancer_that_knows_what_is_wanted() -> None:
    assert balancer.with_servers_of(told(), told()) == told()


def test_servers_that_move_to_another_port_are_known_at_both_and_asked_for_at_the_new_one() -> None:
    between = balancer.with_servers_of(told(), told(port=8445))
    assert places(between) == [
        ("one", "one", 8445),
        ("two", "two", 8445),
        ("former-1", "", 8443),
        ("former-2", "", 8443),
    ]
    assert [each["verifies"] for each in between["servers"]] == ["one", "two", "one", "two"]


def test_servers_to_come_are_untried_until_the_change_is_over() -> None:
    between = balancer.with_servers_of(told(), told(hosts=("one", "three")))
    assert [(each["name"], each.get("untried", False)) for each in between["servers"]] == [
        ("one", False),
        ("three", True),
        ("former-1", False),
    ]
    assert balancer.with_servers_of(between, told(hosts=("one", "three"))) == between


def test_a_host_with_an_address_for_a_name_is_found() -> None:
    assert balancer.nameless(["serve-1", "10.0.0.5", "fd00::5", "serve-2.example.com"]) == [
        "10.0.0.5",
        "fd00::5",
    ]


def test_servers_with_a_new_authority_are_trusted_with_the_old_one_too() -> None:
    between = balancer.with_servers_of(told(), told(authority="second"))
    assert between["authorities"] == ["first", "second"]
    assert places(between) == places(told())


def test_clients_find_the_balancer_as_before_until_all_servers_have_changed() -> None:
    between = balancer.with_servers_of(told(), {**told(authority="second"), "host": "10.0.0.9", "port": 1})
    assert {name: between[name] for name in ("host", "port", "certificate")} == {
        "host": "0.0.0.0",
        "port": 9443,
        "certificate": "/first.pem",
    }


def test_hosts_that_come_and_go_are_known_until_the_change_is_over() -> None:
    between = balancer.with_servers_of(told(), told(hosts=("one", "three")))
    assert [name for name, _, _ in places(between)] == ["one", "three", "former-1"]
    between = balancer.with_servers_of(told(), told(hosts=("one",)))
    assert places(between) == [("one", "one", 8443), ("former-1", "", 8443)]


def test_a_change_that_was_interrupted_goes_on_where_it_was() -> None:
    between = balancer.with_servers_of(told(), told(port=8445))
    assert balancer.with_servers_of(between, told(port=8445)) == between
