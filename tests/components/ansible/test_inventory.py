"""Inventories: read and checked before anything is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.ansible.inventory import read_inventory
from components.errors import PremisesError

GROUPS = ("training", "inference")
TWO_HOSTS = """
premises:
  vars: {ansible_user: modelops}
  children:
    training:
      hosts:
        trainer: {ansible_host: 192.0.2.1}
    inference:
      vars: {ansible_connection: local}
      hosts:
        trainer: {ansible_connection: ssh}
        server:
  hosts: {}
others:
  hosts: {unrelated: {}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "inventory.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_hosts_come_with_address_connection_and_groups(tmp_path: Path) -> None:
    trainer, server = read_inventory(written(tmp_path, TWO_HOSTS), groups=GROUPS).hosts
    assert (trainer.name, trainer.address, trainer.local) == ("trainer", "192.0.2.1", False)
    assert trainer.groups == ("premises", "training", "inference")
    assert (server.name, server.address, server.local) == ("server", "server", True)


def test_the_inventory_of_the_repository_has_one_local_host_in_both_groups() -> None:
    path = Path(__file__).parents[3] / "ansible" / "inventory" / "localhost.yml"
    inventory = read_inventory(path, groups=GROUPS)
    assert [host.name for host in inventory.in_group("training")] == ["localhost"]
    assert inventory.in_group("inference")[0].local


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"no host in the group 'training'"),
        ("premises: {children: {training: {hosts: {a: }}}}", r"no host in the group 'inference'"),
        ("training: {hosts: {a: }}\ninference: {hosts: {a: }}", r"no host .* 'training' below 'premises'"),
        ("premises: [a, b]", r"group 'premises' is not a mapping"),
        ("premises: {children: ", r"is not valid YAML: .* line 1"),
        ("[training]\nhost1 ansible_host=x\n", r"is not valid YAML|no host in the group"),
    ],
)  # fmt: skip
def test_an_inventory_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(PremisesError, match=expected) as error:
        read_inventory(written(tmp_path, text), groups=GROUPS)
    assert "\n" not in str(error.value)


def test_a_missing_inventory_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(PremisesError, match=r"nowhere\.yml does not exist; set premises:inventory"):
        read_inventory(tmp_path / "nowhere.yml", groups=GROUPS)


def test_variables_beside_an_inventory_count_and_vaulted_ones_are_no_obstacle(tmp_path: Path) -> None:
    path = written(
        tmp_path, TWO_HOSTS + "  vars:\n    token: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      6162\n"
    )
    before = read_inventory(path, groups=GROUPS).digest
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "premises.yml").write_text("a: 1\n", encoding="utf-8")
    assert read_inventory(path, groups=GROUPS).digest != before
