"""Secrets that the hosts are given: they are where they belong, and nowhere else, in no form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ansible.hosts.conftest import on
from tests.ansible.site.conftest import ROOT
from tests.planted import Arguments, files_below, leaks

if TYPE_CHECKING:
    from lab.premises.host import Host
    from tests.ansible.site.conftest import ServingSite

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

PASSWORD = "planted-p%ssword-of-modelops-5e1b07"
SUDOERS = "etc/sudoers.d/modelops"


def as_root(site: ServingSite, host: Host, *command: str, stdin: str = "") -> str:
    """Run a command in a host's tree from outside: also where its own sudo asks for a password."""
    return site.premises.space.run(["chroot", str(host.home / "root"), *command], stdin=stdin)


def test_planted_secrets_are_in_no_log_fact_output_or_argument(site: ServingSite) -> None:
    asks = site.hosts[1]
    outputs, kept, facts = len(site.said), dict(site.environment), site.folder / "facts"
    log = site.folder / "ansible.log"
    site.environment |= {"ANSIBLE_LOG_PATH": str(log), "ANSIBLE_CACHE_PLUGIN": "jsonfile"}
    site.environment |= {"ANSIBLE_CACHE_PLUGIN_CONNECTION": str(facts)}
    site.give(site.folder / "tls-planted")  # the hosts have to write all of it anew
    rule = as_root(site, asks, "cat", f"/{SUDOERS}")
    as_root(site, asks, "chpasswd", stdin=f"modelops:{PASSWORD}\n")
    as_root(site, asks, "tee", f"/{SUDOERS}", stdin="modelops ALL=(ALL) ALL\n")
    site.variables["ansible_become_password"] = PASSWORD
    try:
        with Arguments() as arguments:
            ran = site.run("site.yml", "--diff", "-vvv")
    finally:
        del site.variables["ansible_become_password"]
        site.environment = kept
        as_root(site, asks, "tee", f"/{SUDOERS}", stdin=rule)
    assert ("premises-2", "Write certificate, key and API keys") in ran.where, (
        "it was the password that let us in"
    )
    assert [site.ask(host, "/v1/models")[0] for host in site.servers] == [200, 200]

    secrets = [PASSWORD, site.variables["tls_private_key"], site.variables["api_key_sha256"]]
    secrets.append((site.tls / "api_key").read_text().strip())
    texts = {f"output {number}": said.encode() for number, said in enumerate(site.said[outputs:])}
    texts |= {"log": log.read_bytes(), "arguments": b"\n".join(arguments.seen)}
    texts |= {"facts": b"\n".join(files_below(facts).values())}
    texts |= files_below(site.folder / "home") | files_below(site.folder / "tmp")
    for host in site.hosts:
        texts[f"journal of {host.name}"] = on(host, "sudo journalctl --output json --no-pager").encode()
        texts |= files_below(host.home / "upper")
    mine = {
        str(folder / name)
        for host in site.servers
        for folder in (host.home / "upper" / ROOT.lstrip("/") / "inference").glob("tls-*")
        for name in ("server.key", "api_keys.json")
    }
    assert len(mine) == 2 * len(site.servers), "the former ones are gone"
    assert {place for place, _ in leaks(texts, secrets)} == mine
    # The search looks where it should: what is no secret is found.
    for place in ("output 0", "log"):
        assert b"Write serve.json" in texts[place]
    assert b"scenario_model" in texts["arguments"]
    assert b"sshd" in texts["arguments"], "processes of the hosts"
    assert texts["facts"] == b"", "a run gathers no facts, so a cache of them has nothing to hold"
    assert b"BECOME-SUCCESS" in texts["journal of premises-2"]
