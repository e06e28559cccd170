"""Inventories: what Ansible reads, in whatever form and place it is written; errors are one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.ansible.environment import ansible_environment
from components.ansible.inventory import Inventory, read_inventory
from components.errors import PremisesError
from tests.components.ansible.inventories import FORMS, drawn

ROOT = Path(__file__).parents[3]
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
        server:
        trainer: {ansible_connection: ssh}
others:
  hosts: {unrelated: {}}
"""


def written(folder: Path, text: str, name: str = "inventory.yml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, *groups: str) -> Inventory:
    return read_inventory(path, groups=groups, playbooks=beside(path))


def beside(path: Path) -> Path:
    playbooks = path.with_name("playbooks")
    playbooks.mkdir(exist_ok=True)
    return playbooks


def described(pairs: list[tuple[Path, Path]], *arguments: str) -> list[Any]:
    """What the reader, and with --both `ansible-inventory` before it, makes of inventories and playbooks."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.components.ansible.two_readings", *arguments],
        input=json.dumps([[str(inventory), str(playbooks)] for inventory, playbooks in pairs]),
        env=ansible_environment(ROOT / "ansible") | {"ANSIBLE_DEPRECATION_WARNINGS": "False"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_hosts_come_with_address_connection_and_groups_in_the_order_of_ansible(tmp_path: Path) -> None:
    inventory = read(written(tmp_path, TWO_HOSTS), *GROUPS)
    trainer, server = inventory.hosts
    assert (trainer.name, trainer.address, trainer.local) == ("trainer", "192.0.2.1", False)
    assert trainer.groups == ("premises", "training", "inference")
    assert (server.name, server.address, server.local) == ("server", "server", True)
    assert [host.name for host in inventory.in_group("inference")] == ["server", "trainer"]
    assert inventory.in_group("balancer") == ()


def test_the_inventory_of_the_repository_has_one_local_host_in_both_groups() -> None:
    inventory = read_inventory(ROOT / "ansible" / "inventory" / "localhost.yml", groups=GROUPS)
    assert [host.name for host in inventory.in_group("training")] == ["localhost"]
    assert inventory.in_group("inference")[0].local


@pytest.mark.slow
def test_thirty_inventories_of_all_forms_are_what_ansible_lists(tmp_path: Path) -> None:
    pairs = [drawn(tmp_path / str(seed), seed) for seed in range(30)]
    local = addressed = 0
    for (inventory, _), (listed, ours) in zip(pairs, described(pairs, "--both"), strict=True):
        assert "error" not in ours, (inventory, ours)
        theirs = {name: connection(name, listed) for name in members("premises", listed)}
        assert {host["name"]: (host["address"], host["local"]) for host in ours["hosts"]} == theirs, inventory
        for group in ("premises", "training", "inference", "balancer"):
            assert set(ours["groups"][group]) == members(group, listed), (inventory, group)
        local += sum(is_local for _, is_local in theirs.values())
        addressed += sum(name != address for name, (address, _) in theirs.items())
    assert local > len(pairs), "the drawn variables must matter"
    assert addressed > len(pairs)


def members(group: str, listed: dict[str, Any]) -> set[str]:
    body = listed.get(group, {})
    return set(body.get("hosts", [])).union(*(members(each, listed) for each in body.get("children", [])))


def connection(name: str, listed: dict[str, Any]) -> tuple[str, bool]:
    variables = listed["_meta"]["hostvars"].get(name, {})
    address = variables.get("ansible_ssh_host") or variables.get("ansible_host") or name
    return address, variables.get("ansible_connection") in {"local", "ansible.builtin.local"}


@pytest.mark.slow
def test_they_are_so_through_processes_of_their_own_too(tmp_path: Path) -> None:
    inventory, playbooks = drawn(tmp_path, FORMS.index("folder"))
    program = str(Path(sys.executable).with_name("ansible-inventory"))
    shown = subprocess.run(
        [program, "--list", "-i", str(inventory), "--playbook-dir", str(playbooks)],
        env=ansible_environment(playbooks) | {"ANSIBLE_DEPRECATION_WARNINGS": "False"},
        capture_output=True,
        text=True,
        check=True,
    )
    listed = json.loads(shown.stdout)
    ours = read_inventory(inventory, groups=GROUPS, playbooks=playbooks)
    theirs = {name: connection(name, listed) for name in members("premises", listed)}
    assert {host.name: (host.address, host.local) for host in ours.hosts} == theirs


def test_addresses_that_are_templates_or_set_in_any_place_are_resolved(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
[premises]
direct ansible_host="{{ inventory_hostname }}.{{ domain }}"
jumped ansible_host="{{ hostvars['direct']['ansible_host'] }}"
listed ansible_host="{{ groups['premises'] | first }}"
six    ansible_host=fd00::5
beside ansible_host=not-this-one
[fd00::7]:2222
""",
        "hosts",
    )
    written(tmp_path, "domain: example.com\n", "group_vars/all/10-names.yml")
    written(tmp_path, "ansible_host: 192.0.2.9\n", "playbooks/host_vars/beside.yml")
    written(tmp_path, "ansible_connection: \"{{ 'loc' + 'al' }}\"\n", "playbooks/group_vars/premises")
    inventory = read(path)
    assert {host.name: host.address for host in inventory.hosts} == {
        "direct": "direct.example.com",
        "jumped": "direct.example.com",
        "listed": "direct",
        "six": "fd00::5",
        "beside": "192.0.2.9",
        "fd00::7": "fd00::7",
    }
    assert all(host.local for host in inventory.hosts)


def test_the_connection_that_a_configuration_sets_for_all_hosts_counts(tmp_path: Path) -> None:
    written(tmp_path, "[defaults]\ntransport = local\n", "playbooks/ansible.cfg")
    path = written(tmp_path, "[premises]\nhere\nthere ansible_connection=ssh\n", "hosts")
    assert [host.local for host in read(path).hosts] == [True, False]


PASSWORD = "planted-8c1f04"


def encrypted(folder: Path, file: Path) -> None:
    """Encrypt a file as its user would."""
    secret = written(folder, PASSWORD, "password")
    program = str(Path(sys.executable).with_name("ansible-vault"))
    command = [program, "encrypt", "--vault-password-file", str(secret), str(file)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.slow
def test_a_vault_gives_its_values_with_the_password_and_one_line_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE", raising=False)
    path = written(tmp_path, "[premises]\nserve-1\n[premises:vars]\nansible_host='{{ address }}'\n", "hosts")
    variables = written(tmp_path, "address: 192.0.2.77\npin: 1234\n", "group_vars/premises.yml")
    plain = read(path).digest
    encrypted(tmp_path, variables)
    as_file = variables.read_text()
    value = "address: !vault |\n" + "".join(f"  {line}\n" for line in as_file.splitlines())
    for text in (as_file, value):
        variables.write_text(text)
        with pytest.raises(PremisesError, match=r"; set ANSIBLE_VAULT_PASSWORD_FILE to the file") as error:
            read(path)
        assert "\n" not in str(error.value)
    variables.write_text(as_file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "ANSIBLE_VAULT_PASSWORD_FILE", "password"
    )  # below the project, as a user would write it
    inventory = read(path)
    assert [host.address for host in inventory.hosts] == ["192.0.2.77"]
    assert inventory.digest != plain
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "nowhere")
    with pytest.raises(
        PremisesError, match=r"vault password file .*nowhere was not found; set ANSIBLE_VAULT"
    ):
        read(path)
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    written(tmp_path, "[defaults]\nvault_password_file = ../password\n", "playbooks/ansible.cfg")
    assert read(path) == inventory


def test_a_vaulted_value_that_no_connection_needs_needs_no_password(tmp_path: Path) -> None:
    text = "premises:\n  hosts: {a: }\n  vars:\n    token: !vault |\n      $ANSIBLE_VAULT;1.1;AES256\n      6162\n"
    assert read(written(tmp_path, text)).hosts[0].address == "a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("premises: {children: {training: {hosts: {a: }}}}", r"no host in the group 'inference'"),
        ("training: {hosts: {a: }}\n", r"no host .* 'training' below 'premises'"),
        ("premises: [a, b]", r"Ansible warns: Skipping 'premises' as this is not a valid group"),
        (
            "premises:\n  hosts: {a: {b: c : d}}",
            r"cannot be read: inventory\.yml, line 2: YAML.*--list shows",
        ),
    ],
)
def test_an_inventory_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(PremisesError, match=expected) as error:
        read(written(tmp_path, text), *GROUPS)
    assert "\n" not in str(error.value)


UNREADABLE = {
    "a/hosts": (
        "[premises]\na password=planted 0451\n",
        "hosts: Failed to parse inventory: Expected key=value",
    ),
    "b/hosts": (
        "[premises]\na password='planted 0451\n",
        "hosts: Failed to parse inventory: Error parsing host",
    ),
    "c/hosts": (
        "[premises]\na ansible_host='{{ nope }}'\n",
        "a: ansible_host, needed before a host is contacted: .* is undefined",
    ),
    "d/hosts": ("[premises]\na ansible_host=\n", "a: ansible_host is empty"),
    "e/script": ("#!/bin/sh\necho planted 0451 >&2; exit 3\n", "script: Inventory script returned .* code 3"),
    "f/folder/broken.yml": ("premises: [\n", "broken.yml, line 2: YAML"),
    "g/folder/notes.orig": ("ignored by Ansible\n", "Completely failed to parse .*folder"),
    "h/hosts.yml": ("- a\n- b\n", "hosts.yml: .*should be a dictionary"),
}


def test_variables_that_ansible_cannot_read_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "[premises]\na\n", "hosts")
    written(tmp_path, "good: 1\npassword: planted : 0451\n", "group_vars/premises.yml")
    with pytest.raises(PremisesError, match=r"premises\.yml, variables of a: YAML parsing failed") as error:
        read(path)
    assert "0451" not in str(error.value)


def test_what_ansible_cannot_read_is_said_without_what_may_be_a_secret(tmp_path: Path) -> None:
    pairs = []
    for name, (text, _) in UNREADABLE.items():
        path = written(tmp_path, text, name)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
        path = path.parent if path.parent.name == "folder" else path
        pairs.append((path, beside(path)))
    for (name, (_, expected)), (_, answer) in zip(UNREADABLE.items(), described(pairs), strict=True):
        assert re.match(expected, answer["error"]), (name, answer)
        assert "\n" not in answer["error"]
        assert "0451" not in str(answer)


def test_a_missing_inventory_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(PremisesError, match=r"nowhere\.yml does not exist; set premises:inventory"):
        read_inventory(tmp_path / "nowhere.yml", groups=GROUPS)


def test_a_script_that_waits_is_ended_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.ansible.inventory._SECONDS", 3)
    path = written(tmp_path, "#!/bin/sh\nsleep 600\n", "script")
    path.chmod(0o755)
    with pytest.raises(PremisesError, match=r"was not read in 3 s; does one of its scripts wait"):
        read(path)


def test_the_digest_covers_all_that_ansible_reads_and_not_where_it_lies(tmp_path: Path) -> None:
    answer = '#!/bin/sh\necho \'{"premises": {"hosts": ["a"], "vars": {"x": %s}}}\'\n'
    first = written(tmp_path, answer % "1", "first/hosts/script")
    first.chmod(0o755)
    written(tmp_path, "token: 1\n", "first/hosts/group_vars/all.yml")
    written(tmp_path, "token: 1\n", "first/playbooks/host_vars/a.yml")
    changes = {
        "nothing": ("unread", "x"),
        "the script's answer": ("hosts/script", answer % "2"),
        "a group": ("hosts/group_vars/all.yml", "token: 2\n"),
        "another group": ("hosts/group_vars/premises/more.yml", "token: 2\n"),
        "a host": ("hosts/host_vars/a", "token: 2\n"),
        "a host, beside the playbooks": ("playbooks/host_vars/a.yml", "token: 2\n"),
        "a group, beside the playbooks": ("playbooks/group_vars/premises.json", "{}"),
    }
    pairs = [(tmp_path / "first" / "hosts", tmp_path / "first" / "playbooks")]
    for name, (file, text) in changes.items():
        copy = tmp_path / "elsewhere" / name
        shutil.copytree(tmp_path / "first", copy)
        written(copy, text, file)
        pairs.append((copy / "hosts", copy / "playbooks"))
    before, same, *others = [answer["digest"] for _, answer in described(pairs)]
    assert same == before
    assert len({before, *others}) == len(changes), dict(zip(changes, [same, *others], strict=True))


def test_a_plain_locale_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert read(written(tmp_path, "[premises]\na\n", "hosts")).hosts[0].name == "a"


def test_secrets_of_hosts_are_in_nothing_that_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "[premises]\na ansible_become_password=planted-11aa\n", "hosts")
    assert "planted" not in repr(read(path))


def test_nothing_is_asked_of_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_IDENTITY_LIST", "mine@prompt")
    with pytest.raises(PremisesError, match=r"prompt"):
        read(written(tmp_path, "[premises]\na\n", "hosts"))
    assert "ANSIBLE_VAULT_IDENTITY_LIST" in os.environ
