"""Time, kernel settings, updates and accounts: as asked for, seen when changed by hand, and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.ansible.hosts.conftest import on, traces
from tests.ansible.hosts.packages import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.premises.host import Host
    from tests.ansible.hosts.conftest import Site

pytestmark = pytest.mark.slow

KEEPALIVE = "/proc/sys/net/ipv4/tcp_keepalive_time"
NOTHING: dict[str, Any] = {  # asked for, whatever another test asks of all hosts at that time
    "base_time_servers": [],
    "base_sysctl": {},
    "base_held_packages": [],
    "base_service_user": "",
    "packages_folder": "",
}


@pytest.fixture(scope="module")
def settled(site: Site, cache: Path) -> Iterator[Host]:
    """The first host, on which all that the role can do was asked for."""
    host = site.hosts[0]
    site.variables |= {
        "base_time_servers": ["192.0.2.5"],
        "base_sysctl": {"net.ipv4.tcp_keepalive_time": 300},
        "base_updates": "none",
        "base_held_packages": ["nftab*", "linux-image-*"],
        "base_service_user": "scenario",
        "packages_folder": str(folder_of(cache, "systemd-timesyncd")),
    }
    clean = traces(host) | {"keepalive": on(host, f"cat {KEEPALIVE}")}
    foreseen = site.play("base", limit=host, check=True).changed
    assert traces(host) | {"keepalive": on(host, f"cat {KEEPALIVE}")} == clean, "a check changes nothing"
    assert site.play("base", limit=host).changed == foreseen
    yield host
    site.play("base", limit=host, reset=True)
    assert traces(host) | {"keepalive": on(host, f"cat {KEEPALIVE}")} == clean
    for name in [name for name in site.variables if name.startswith(("base_", "packages_"))]:
        del site.variables[name]


def test_all_that_was_asked_for_is_there_and_stays_as_it_is(settled: Host, site: Site) -> None:
    assert on(settled, f"cat {KEEPALIVE} /etc/sysctl.d/90-scenario.conf").split()[0] == "300"
    assert on(settled, "apt-mark showhold") == "nftables"
    assert on(settled, "apt-config dump APT::Periodic::Unattended-Upgrade").endswith('"0";')
    assert on(settled, "systemctl is-enabled systemd-timesyncd") == "enabled"
    assert "NTP=192.0.2.5" in on(settled, "systemd-analyze cat-config systemd/timesyncd.conf")
    name, _, number, _, _, home, shell = on(settled, "getent passwd scenario").split(":")
    assert (name, home, shell) == ("scenario", "/nonexistent", "/usr/sbin/nologin")
    assert int(number) < 1000
    assert site.play("base", limit=settled).changes() == 0


def test_what_was_changed_by_hand_is_foreseen_and_mended(settled: Host, site: Site) -> None:
    on(
        settled,
        f"echo 7200 | sudo tee {KEEPALIVE}; sudo apt-mark unhold nftables; sudo chsh -s /bin/sh scenario",
    )
    expected = ["Set kernel settings", "Hold packages at their version", "Create the account"]
    assert site.play("base", limit=settled, check=True).changed == expected
    assert site.play("base", limit=settled).changed == expected
    assert on(settled, f"cat {KEEPALIVE}") == "300"


def test_without_a_way_to_the_packages_the_remedy_is_named(fresh: Host, site: Site) -> None:
    on(fresh, "echo nameserver 127.0.0.1 | sudo tee /etc/resolv.conf")  # where names are not waited for
    before = traces(fresh)
    ran = site.play("base", limit=fresh, succeeds=False, **NOTHING | {"base_updates": "security"})
    said = " ".join(ran.output.split())
    assert ran.code
    assert "cannot install unattended-upgrades from apt's sources: " in said
    assert "set packages_folder to a folder with these packages and their dependencies, or configure" in said
    assert traces(fresh) == before


def test_a_clock_that_is_off_fails_the_host(fresh: Host, site: Site) -> None:
    # The hosts' clock is this machine's: a tolerance that no clock meets stands for a clock that is off.
    asked = NOTHING | {"base_updates": "leave", "base_clock_tolerance_seconds": -3600}
    ran = site.play("base", limit=fresh, succeeds=False, **asked)
    assert ran.code
    assert f"the clock of {fresh.name} is " in " ".join(ran.output.split())
