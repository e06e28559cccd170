"""The inventory that comes out is one that the playbooks take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.premises import access
from lab.premises.addresses import Addresses, host_name

if TYPE_CHECKING:
    from pathlib import Path


def inventory(folder: Path, hosts: int) -> dict[str, Any]:
    access.private_key(folder).parent.mkdir(parents=True, exist_ok=True)
    names = [host_name(number) for number in range(1, hosts + 1)]
    keys = {name: f"ssh-ed25519 key-of-{name}" for name in names}
    access.write_access(folder, names, Addresses("10.9.4.0/22"), keys)
    told: dict[str, Any] = yaml.safe_load(access.inventory_of(folder).read_text())
    return told


@pytest.mark.parametrize(
    ("hosts", "serving"),
    [(1, ["premises-1"]), (2, ["premises-2"]), (4, ["premises-2", "premises-3", "premises-4"])],
)
def test_the_first_host_trains_and_the_others_serve(hosts: int, serving: list[str], tmp_path: Path) -> None:
    premises = inventory(tmp_path, hosts)["premises"]
    assert len(premises["hosts"]) == hosts
    assert list(premises["children"]["training"]["hosts"]) == ["premises-1"]
    assert list(premises["children"]["inference"]["hosts"]) == serving


def test_only_the_pinned_keys_are_known(tmp_path: Path) -> None:
    told = inventory(tmp_path, 2)
    assert access.known_hosts(tmp_path).read_text().splitlines() == [
        "10.9.4.101 ssh-ed25519 key-of-premises-1",
        "10.9.4.102 ssh-ed25519 key-of-premises-2",
    ]
    options = str(told["premises"]["vars"]["ansible_ssh_common_args"])
    assert f'-oUserKnownHostsFile="{access.known_hosts(tmp_path)}"' in options
    assert "-oStrictHostKeyChecking=yes" in options


def test_in_a_folder_too_deep_for_sockets_connections_are_not_shared(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 80)
    assert inventory(deep, 1)["premises"]["vars"]["ansible_ssh_args"] == "-oControlMaster=no"
