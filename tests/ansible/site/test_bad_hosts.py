"""Hosts on which it cannot work: a full disk, another host's key. One message names the host."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab.premises.access import hang_up, known_hosts
from tests.ansible.hosts.conftest import on
from tests.ansible.site.conftest import ROOT, SERVING

if TYPE_CHECKING:
    from lab.premises.host import Host
    from tests.ansible.site.conftest import ServingSite

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def as_root(host: Host, line: str) -> str:
    return on(host, f"sudo sh -ceu {shlex.quote(line)}")


def serving_processes(site: ServingSite) -> list[str]:
    return [site.served(host).process for host in site.servers]


def test_a_disk_without_room_is_named_before_anything_is_brought(site: ServingSite) -> None:
    lacking = site.hosts[2]
    elsewhere: dict[str, Any] = {"scenario_root": "/srv/small/root", "service_user": "small"}
    elsewhere |= {"serving": {**SERVING, "port": 8445}}
    before = serving_processes(site)
    as_root(lacking, "mkdir /srv/small; mount -t tmpfs -o size=64m tmpfs /srv/small")
    try:
        ran = site.run("site.yml", succeeds=False, **elsewhere)
        assert ran.code
        said = " ".join(ran.output.split())
        expected = (
            "premises-3 has 64 MB free at /srv/small/root, but the runtime may need 6000; free up space"
        )
        assert expected in said, said[-3000:]
        for host in site.hosts:
            made = as_root(host, "find /srv/small/root -type f").splitlines()
            assert made == ["/srv/small/root/.model-deployment-scenarios"]
        assert serving_processes(site) == before
        site.run("reset.yml", **elsewhere)
        for host in site.hosts:
            assert on(host, "ls /srv/small; getent passwd small || true") == ""
    finally:
        as_root(lacking, "umount /srv/small")
        for host in site.hosts:
            as_root(host, "rm -rf /srv/small")


def test_a_disk_that_is_full_leaves_the_host_as_it_was_and_the_next_untouched(site: ServingSite) -> None:
    full, following = site.servers
    before = site.served(full), site.served(following)
    folder = f"{ROOT}/inference"
    as_root(
        full,
        f"cp -a {folder} /srv/kept; mount -t tmpfs -o size=16m,mode=0750 tmpfs {folder}; "
        f"cp -a /srv/kept/. {folder}/; cat /dev/zero > {folder}/filler || true",
    )
    try:
        more = {"requests_per_minute": 7777}
        ran = site.run("serve.yml", succeeds=False, serving={**SERVING, "limits": more})
        assert ran.code
        said = " ".join(ran.output.split())
        assert "No space left on device" in said, said[-3000:]
        assert f"It serves {before[0].release} as before; hosts after it were not touched" in said, said[
            -3000:
        ]
        assert "fatal: [premises-2]" in ran.output
        assert "premises-3" not in {host for host, _ in ran.where}
        now = site.served(full)
        assert (now.release, now.settings) == (before[0].release, before[0].settings)
        assert now.defined == now.running
        assert site.served(following) == before[1]
    finally:
        as_root(full, f"umount --lazy {folder}; rm -r /srv/kept")
        site.run("serve.yml")
    assert site.served(full).settings == before[0].settings


def test_a_host_with_another_key_is_refused_by_name_and_nothing_is_done_anywhere(site: ServingSite) -> None:
    folder = site.premises.space.folder
    second, third = (host.address for host in site.hosts[1:])
    keys = dict(line.split(" ", 1) for line in known_hosts(folder).read_text().splitlines())
    wrong = site.folder / "known_hosts"
    wrong.write_text("".join(f"{name} {key}\n" for name, key in (keys | {second: keys[third]}).items()))
    assert site.inventory
    written = yaml.safe_load(site.inventory.read_text())
    common = written["premises"]["vars"]["ansible_ssh_common_args"]
    written["premises"]["vars"]["ansible_ssh_common_args"] = common.replace(
        str(known_hosts(folder)), str(wrong)
    )
    right, site.inventory = site.inventory, site.folder / "wrong_key.yml"
    site.inventory.write_text(yaml.safe_dump(written))
    hang_up(folder)  # a connection that is open asks for no key
    try:
        ran = site.run("site.yml", succeeds=False, serving={**SERVING, "limits": {"requests_per_minute": 1}})
    finally:
        site.inventory = right
        hang_up(folder)
    assert ran.code
    said = " ".join(ran.output.split())
    assert "fatal: [premises-2]: UNREACHABLE!" in said, said[-3000:]
    assert "Host key verification failed" in said
    assert ran.where == []
