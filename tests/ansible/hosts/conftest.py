"""Two hosts with systemd for the roles that need root: each file of tests applies one role, and resets it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab import LabError, lock
from lab.fixtures import a_folder
from lab.premises.access import ssh
from lab.premises.debian_tree import base_tree
from lab.premises.lifecycle import Premises, bring_up
from tests.ansible.conftest import PLAYBOOKS, Ran

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.premises.host import Host

# What a running system writes by itself, and what dpkg and apt keep as copies.
_RESTLESS = (
    *("var/log/", "var/cache/", "var/lib/systemd/", "var/lib/apt/", "var/lib/dpkg/", "var/tmp/"),
    *("tmp/", "run/", "root/", "home/modelops/", "dev/", "etc/ld.so.cache", "etc/machine-id"),
    *(f"etc/{name}-" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")),
)


@dataclass
class Site:
    """The lab's hosts and the settings that every play of a test has."""

    premises: Premises
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    inventory: Path | None = None

    @property
    def hosts(self) -> list[Host]:
        return self.premises.hosts

    def play(self, *roles: str, limit: Host | None = None, reset: bool = False, **options: Any) -> Ran:
        """Apply some roles, as hosts.yml does; `reset` takes them away again."""
        part = {"tasks_from": "reset"} if reset else {}
        tasks = [{"ansible.builtin.include_role": {"name": role} | part} for role in roles]
        look = {"ansible.builtin.include_role": {"name": "base", "tasks_from": "look"}}
        play = {"hosts": "premises", "become": True, "gather_facts": False, "tasks": [look, *tasks]}
        file = self.folder / "play.yml"
        file.write_text(yaml.safe_dump([play | {"any_errors_fatal": True}]))
        return self.run(str(file), limit=limit, **options)

    def run(
        self,
        playbook: str,
        *arguments: str,
        limit: Host | None = None,
        check: bool = False,
        succeeds: bool = True,
        **variables: Any,
    ) -> Ran:
        """Run a playbook as a user would; `variables` win over the site's own."""
        file = self.folder / "variables.json"
        file.write_text(json.dumps({**self.variables, **variables}))
        inventory = str(self.inventory or self.premises.inventory)
        command = [sys.executable, "-m", "ansible", "playbook", "-i", inventory, playbook]
        command += ["-e", f"@{file}", *arguments, *(["--check", "--diff"] if check else [])]
        command += ["--limit", limit.name] if limit else []
        own = {"ANSIBLE_HOME": str(self.folder / "home"), "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles")}
        own |= self.environment
        done = subprocess.run(
            command,
            cwd=PLAYBOOKS,
            env={**os.environ, **own, "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )
        if succeeds and done.returncode:
            pytest.fail(f"{playbook} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return Ran(done.returncode, done.stdout)


def on(host: Host, line: str) -> str:
    """What a shell line says on a host, run by the account that has no root."""
    return ssh(host.folder, host.address, line, timeout_s=60).strip()


def succeeds_on(host: Host, line: str) -> bool:
    """Whether a shell line ends well on a host."""
    try:
        on(host, line)
    except LabError:
        return False
    return True


_INSTALLED = "dpkg-query --show --showformat '${Package} ${db:Status-Abbrev}\n' | sort | sha256sum"


def traces(host: Host) -> dict[str, str]:
    """What differs on a host from the tree that it began with: files by digest, packages, rules."""
    base, upper = base_tree(), host.home / "upper"
    found = {}
    for path in sorted(upper.rglob("*")):
        name = str(path.relative_to(upper))
        if not f"{name}/".startswith(_RESTLESS) and not name.endswith(".pyc") and "__pycache__" not in name:
            now, before = _content(path), _content(base / name)
            if now != before:
                found[name] = now
    found["packages"] = on(host, _INSTALLED)
    found["rules"] = on(host, "sudo nft --stateless list ruleset")
    found["holds"] = on(host, "apt-mark showhold")
    return found


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if not path.exists():
        return "nothing"
    mode = path.stat().st_mode
    if stat.S_ISCHR(mode):
        return "nothing"  # how an overlay says that a file of the tree below is gone
    return "folder" if stat.S_ISDIR(mode) else hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts, for all of these tests."""
    with a_folder() as folder:
        with lock.exclusive(folder):
            premises = bring_up(folder, 2)
        made = Site(premises, tmp_path_factory.mktemp("site"))
        made.variables = {"egress_admin_networks": [premises.addresses.machine]}
        yield made


@pytest.fixture
def fresh(site: Site) -> Host:
    """The second host, on which no role is applied; a test that applies one resets it."""
    return site.hosts[1]
