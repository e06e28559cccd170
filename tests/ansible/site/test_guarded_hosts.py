"""Hosts as administrators guard them, reached as their users reach them: docs/access.md, tried.

An INI inventory with a vault beside it; sudo with a password; a jump host, without which the second host does not
answer; a umask that hides files from others; a /tmp from which nothing may be executed.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from lab import lock
from lab.fixtures import a_folder
from lab.premises import USER
from lab.premises.access import known_hosts, private_key
from lab.premises.debian_tree import base_tree
from lab.premises.lifecycle import bring_up
from tests.ansible.conftest import PLAYBOOKS
from tests.ansible.hosts.conftest import on, succeeds_on
from tests.ansible.site.conftest import SETTINGS, ServingSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.premises.host import Host

# `make test` has no such host; inventories with passwords and jump hosts are read in tests/components/ansible.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
PASSWORD = "quiet '\" $HOME harbour"


def guard(host: Host, only_from: str) -> None:
    """Let a host be as its administrators want it; SSH is answered to one address."""
    script = f"""
        echo 'session optional pam_umask.so umask=0027' >> /etc/pam.d/common-session
        mount -t tmpfs -o noexec,nosuid,nodev tmpfs /tmp
        printf '%s:%s\\n' {USER} "$(cat)" | chpasswd
        printf '%s\\n' 'Defaults umask_override, umask=0027' '{USER} ALL=(ALL) ALL' > /etc/sudoers.d/{USER}
        nft add table inet guard
        nft add chain inet guard in '{{ type filter hook input priority 0; }}'
        nft add rule inet guard in tcp dport 22 ct state new ip saddr != {{ {only_from}, 127.0.0.1 }} drop
    """
    on(host, f"printf %s {shlex.quote(PASSWORD)} | sudo sh -ceu {shlex.quote(script)}")


@pytest.fixture
def guarded(tmp_path: Path, learning: Path, laid_runtime: Path) -> Iterator[ServingSite]:
    """One host that trains, through which alone the one that serves is reached."""
    with a_folder() as folder:
        trees = (learning, laid_runtime, base_tree())
        with lock.exclusive(folder):
            premises = bring_up(folder, 2, over=trees[:2])
        site = ServingSite(premises, tmp_path, trees=trees)
        jump, inner = premises.hosts
        (tmp_path / "ssh_config").write_text(
            f"Host *\n  User {USER}\n  IdentityFile {private_key(folder)}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {known_hosts(folder)}\n  StrictHostKeyChecking yes\n"
            f"Host {inner.address}\n  ProxyJump {jump.address}\n"
        )
        site.inventory = write_inventory(tmp_path, jump, inner)
        site.variables = dict(SETTINGS)
        site.environment = {"ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "vault-password")}
        site.give(tmp_path / "tls")
        guard(inner, jump.address)
        guard(jump, premises.addresses.machine)
        yield site


def write_inventory(folder: Path, jump: Host, inner: Host) -> Path:
    """Write what docs/access.md describes, in INI; the password is in the vault alone."""
    inventory = folder / "inventory" / "hosts.ini"
    (inventory.parent / "group_vars").mkdir(parents=True)
    inventory.write_text(
        f"[training]\n{jump.name} ansible_host={jump.address}\n"
        f"[inference]\n{inner.name} ansible_host={inner.address}\n"
        "[premises:children]\ntraining\ninference\n"
        f"[premises:vars]\nansible_become=true\nansible_ssh_common_args=-F {folder}/ssh_config\n"
    )
    vault = inventory.parent / "group_vars" / "premises.yml"
    vault.write_text(yaml.safe_dump({"ansible_become_password": PASSWORD}))
    (folder / "vault-password").write_text("of the vault\n")
    command = [sys.executable, "-m", "ansible", "vault", "encrypt", "--vault-password-file"]
    subprocess.run(
        [*command, folder / "vault-password", vault], cwd=PLAYBOOKS, check=True, capture_output=True
    )
    return inventory


def test_guarded_hosts_are_deployed_to_checked_and_left_as_they_were(guarded: ServingSite) -> None:
    jump, inner = guarded.hosts
    assert not succeeds_on(inner, "true"), "it answers without the jump host"
    assert not succeeds_on(jump, "sudo -n true"), "sudo asks for no password"
    assert on(jump, "umask") == "0027"
    first = guarded.run("site.yml")
    status, _ = guarded.ask(inner)
    assert status == 200
    assert PASSWORD not in first.output
    assert guarded.run("site.yml").changes() == 0
    guarded.run("reset.yml")
    assert on(jump, "ls /var/lib | grep -c model-deployment || true") == "0"
