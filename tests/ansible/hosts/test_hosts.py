"""hosts.yml as a whole, on two hosts at once: foreseen, done, stable, undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.ansible.hosts.conftest import on, traces
from tests.ansible.hosts.packages import folder_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ansible.hosts.conftest import Site

# `make test` applies hosts.yml in tests/end_to_end/test_premises_hosts.py, and resets the roles one by one here.
pytestmark = pytest.mark.soak


def test_hosts_are_prepared_as_foreseen_stay_so_and_are_as_before_after_a_reset(
    site: Site, cache: Path
) -> None:
    settings: dict[str, Any] = {"base_service_user": "scenario", "base_updates": "none"}
    debs = folder_of(cache, "prometheus", "prometheus-node-exporter")
    settings |= {"packages_folder": str(debs), "monitoring_interval_seconds": 2}
    before = [traces(host) for host in site.hosts]
    foreseen = site.run("hosts.yml", check=True, **settings).changed
    assert [traces(host) for host in site.hosts] == before, "a check changes nothing"
    assert sorted(site.run("hosts.yml", **settings).changed) == sorted(foreseen)
    try:
        for host in site.hosts:
            assert "scenario_egress" in on(host, "sudo nft list tables")
            assert on(host, "getent passwd scenario")
        again = site.run("hosts.yml", **settings)
        assert again.changes() == 0, again.changed
    finally:
        site.run("hosts_reset.yml")
    assert [traces(host) for host in site.hosts] == before
