"""Check mode: it changes nothing on bare hosts, and foretells what a run changes on edited ones."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.digests import tree_digest
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory
from tests.ansible.hosts.conftest import on
from tests.ansible.site.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.premises.host import Host
    from tests.ansible.site.conftest import ServingSite

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

# What a running system, or a login alone, writes.
_VOLATILE = ("var/log/", "var/lib/systemd/", "run/", "tmp/", "var/tmp/", "home/modelops/.ansible/")


Entry = tuple[int, int, int, str]


def tree_of(site: ServingSite, host: Host) -> dict[str, Entry | None]:
    """What a host has of its own: files that are not as they were when it first booted."""
    upper = host.home / "upper"
    found = {}
    for path in upper.rglob("*"):
        name = str(path.relative_to(upper))
        first = next((entry for tree in site.trees if (entry := entry_of(tree / name))), None)
        if not f"{name}/".startswith(_VOLATILE) and entry_of(path) != first:
            found[name] = entry_of(path)
    return found


def entry_of(path: Path) -> Entry | None:
    """A file's mode, owner, group and digest."""
    if not os.path.lexists(path):
        return None
    told = path.lstat()
    content = str(path.readlink()) if path.is_symlink() else ""
    if path.is_file() and not path.is_symlink():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return told.st_mode, told.st_uid, told.st_gid, content


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> dict[str, str]:
    """A release that was made elsewhere, as scenario 1 takes it in."""
    folder = tmp_path_factory.mktemp("given")
    draft = folder / "assistant"
    subprocess.run(["cp", "-r", tiny_checkpoint, draft], check=True)
    (draft / "release.json").write_text(
        json.dumps({"format": 1, "name": "assistant", "evaluation": {"passed": True, "reasons": []}})
    )
    keys.create_pair(folder / "signing.pem", folder / "verification.pem")
    sign_directory(draft, folder / "signing.pem")
    key = (folder / "verification.pem").read_text()
    return {"id": f"assistant@{tree_digest(draft)}", "key": key, "path": str(draft)}


@pytest.mark.parametrize("playbook", ["site.yml", "upgrade.yml"])
def test_a_check_of_bare_hosts_changes_nothing_on_them(
    bare: ServingSite, given: dict[str, str], playbook: str
) -> None:
    elsewhere: dict[str, Any] = {"scenario_root": "/srv/bare", "service_user": "nobody-yet"}
    elsewhere |= {"serving": {**bare.variables["serving"], "port": 8444}}
    elsewhere |= {"release_given": given} if playbook == "upgrade.yml" else {}
    before = [tree_of(bare, host) for host in bare.hosts]
    ran = bare.run(playbook, check=True, **elsewhere)
    for host, tree in zip(bare.hosts, before, strict=True):
        now = tree_of(bare, host)
        assert {name for name in now | tree if now.get(name) != tree.get(name)} == set()
    promised = {host.name: {task for where, task in ran.where if where == host.name} for host in bare.hosts}
    for host in bare.servers:
        assert {"Create the user that services run as", "Report that the runtime would be built"} <= promised[
            host.name
        ]
        assert {"Write serve.json", "Run inference"} <= promised[host.name]
        assert ("Report that the release would be copied" in promised[host.name]) == (
            playbook == "upgrade.yml"
        )
    assert ("Report what would be done" in promised["premises-1"]) == (playbook == "site.yml")


# What somebody did by hand, as root, in the folder of the deployment; each host its own.
DRIFT = (
    "echo >> training/train.json; chmod 0700 store; rm runtime/current",
    "sed -i '$a#' services/inference-*.service; rm keys/release-verification.pem; chgrp root inference",
    "systemctl stop 'inference-*'; rm inference/tls-*/server.key; sed -i s/8443/1/ inference/serve.json",
)


def test_a_check_of_edited_hosts_foretells_what_the_run_changes(site: ServingSite) -> None:
    for host, line in zip(site.hosts, DRIFT, strict=True):
        on(host, f"sudo sh -ceu {shlex.quote(f'cd {ROOT}; {line}')}")
    before = [tree_of(site, host) for host in site.hosts]
    foretold = site.run("site.yml", check=True)
    assert [tree_of(site, host) for host in site.hosts] == before
    done = site.run("site.yml", "--diff")
    assert sorted(set(foretold.where)) == sorted(set(done.where))
    assert {host for host, _ in done.where} == {host.name for host in site.hosts}
    assert files_in(foretold.output) == files_in(done.output)
    assert [site.ask(host)[0] for host in site.servers] == [200, 200]


def test_a_release_that_was_lost_is_foretold_and_received_again(site: ServingSite) -> None:
    second = site.servers[0]
    release = site.served(second).release
    on(second, f"sudo rm -r {ROOT}/store/releases")
    assert site.run("serve.yml", check=True).where == [
        ("premises-2", "Report that the release would be received")
    ]
    ran = site.run("serve.yml")
    assert {host for host, _ in ran.where} == {"premises-2"}
    on(second, "sudo systemctl restart 'inference-*'")
    assert wait_for(lambda: site.ask(second)) == (200, release)


def wait_for(ask: Callable[[], tuple[int, str]]) -> tuple[int, str]:
    """What is answered as soon as there is an answer."""
    deadline = time.monotonic() + 120
    while True:
        try:
            return ask()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.5)


def files_in(output: str) -> set[str]:
    """The files of which differences are shown; a template is shown by its own name."""
    shown = re.findall(r"^\+\+\+ after: (\S+)", output, re.MULTILINE)
    return {re.sub(r".*/ansible-local-[^/]+/[^/]+/", "", path) for path in shown}
