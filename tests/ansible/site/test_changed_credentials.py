"""Credentials that a run brings: what does not fit changes nothing, and a rollback brings back those before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.ansible.hosts.conftest import on
from tests.ansible.site.conftest import ROOT, SERVING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.premises.host import Host
    from tests.ansible.site.conftest import ServingSite

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
NAMES = ("tls_certificate", "tls_private_key", "api_key_sha256")


@pytest.fixture
def other(site: ServingSite, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Credentials of another authority; afterwards the site has its own again."""
    own, folder = {name: site.variables[name] for name in NAMES}, site.tls
    site.give(tmp_path / "other")
    made = {name: site.variables[name] for name in NAMES}
    site.variables |= own
    site.tls = folder
    yield made
    site.tls = folder
    site.run("serve.yml")


def folders(site: ServingSite) -> list[str]:
    found = on(site.servers[0], f"sudo sh -c 'ls -d {ROOT}/inference/tls-*'")
    return sorted(found.splitlines())


def answers(site: ServingSite, host: Host) -> bool:
    """Whether a host is ready, for a client that trusts the site's own authority alone."""
    try:
        return site.ask(host)[0] == 200
    except OSError:
        return False


def test_a_key_of_another_certificate_is_refused_and_the_servers_go_on(
    site: ServingSite, other: dict[str, Any]
) -> None:
    before, kept = [site.served(host) for host in site.servers], folders(site)
    ran = site.run("serve.yml", succeeds=False, tls_private_key=other["tls_private_key"])
    assert "tls_private_key is not the key of tls_certificate" in " ".join(ran.output.split())
    assert [site.served(host) for host in site.servers] == before
    assert folders(site) == kept


def test_a_server_that_does_not_become_ready_is_brought_back_with_its_own_credentials(
    site: ServingSite, other: dict[str, Any]
) -> None:
    first, before = site.servers[0], site.served(site.servers[0])
    moved = {"serving": SERVING | {"port": 8446}}
    ran = site.run("serve.yml", succeeds=False, inference_ready_seconds=1, **moved, **other)
    said = " ".join(ran.output.split())
    assert "hosts after it were not touched" in said, said[-3000:]
    deadline = time.monotonic() + 120  # it was brought back, but given a second to become ready
    while not answers(site, first):
        assert time.monotonic() < deadline
        time.sleep(1)
    now = site.served(first)
    assert (now.release, now.settings) == (before.release, before.settings | {"release": before.release})


def test_a_run_leaves_the_credentials_in_use_and_no_others(site: ServingSite, other: dict[str, Any]) -> None:
    before = folders(site)
    assert len(before) == 1
    site.run("serve.yml", serving=SERVING, **other)
    after = folders(site)
    assert len(after) == 1
    assert after != before


def test_a_credentials_file_that_was_edited_by_hand_is_named_and_its_content_is_not(
    site: ServingSite,
) -> None:
    (folder,) = folders(site)
    file = f"{folder}/api_keys.json"
    on(site.servers[0], f"sudo sed -i 's/default/mallory/' {file}")
    ran = site.run("serve.yml", check=True)
    assert file in ran.output
    assert "mallory" not in ran.output
    assert {"Report which of them differed", "Run inference"} <= set(ran.changed)
    site.run("serve.yml")
    assert site.run("serve.yml", check=True).changes() == 0
