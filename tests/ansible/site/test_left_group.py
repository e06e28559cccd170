"""A host that leaves a group, but not the inventory, stops what it did for that group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.ansible.hosts.conftest import on
from tests.ansible.site.conftest import ROOT

if TYPE_CHECKING:
    from tests.ansible.site.conftest import ServingSite

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


def test_a_host_that_serves_no_longer_keeps_neither_server_nor_credentials(site: ServingSite) -> None:
    leaving, staying = site.servers[1], site.served(site.servers[0])
    assert site.inventory
    written = yaml.safe_load(site.inventory.read_text())
    del written["premises"]["children"]["inference"]["hosts"][leaving.name]
    assert leaving.name in written["premises"]["hosts"]
    former, site.inventory = site.inventory, site.folder / "left.yml"
    site.inventory.write_text(yaml.safe_dump(written))
    try:
        foreseen = site.run("serve.yml", check=True).changed
        assert site.run("serve.yml").changed == foreseen
        assert "Stop inference" in foreseen
        state = f"systemctl list-units --plain --no-legend 'inference-*'; sudo ls {ROOT}/services {ROOT}"
        assert "inference" not in on(leaving, state)
        assert site.served(site.servers[0]) == staying
        assert site.run("serve.yml").changes() == 0
    finally:
        site.inventory = former
        site.run("site.yml")  # which gives it the folders of the group again
    assert site.served(leaving).release == staying.release
