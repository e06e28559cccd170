"""Nothing leaves a host, and nothing comes in, but what is listed; seen from the router."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from lab.premises.wan import Wan
from tests.ansible.hosts.conftest import on, succeeds_on, traces
from tests.ansible.hosts.watch import at_the_router, try_all, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.premises.host import Host
    from tests.ansible.hosts.conftest import Site

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def watched(site: Site) -> None:
    """The router counts what the first host sends."""
    watch(site.hosts[0], site.premises.space)


@contextmanager
def a_mirror_outside(site: Site) -> Iterator[int]:
    """An HTTP server beyond the router."""
    port = 8080
    inside = ["nsenter", f"--net={site.premises.space.wan_network}"]
    with subprocess.Popen(
        [*inside, sys.executable, "-m", "http.server", str(port)],
        cwd=site.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            time.sleep(1)
            yield port
        finally:
            server.kill()


@pytest.fixture(scope="module")
def closed(site: Site, watched: None) -> Iterator[Host]:
    """The first host after the role, which was open before; a mirror is all that it may call."""
    host = site.hosts[0]
    before = at_the_router(site.premises.space)
    tried = try_all(host)
    seen = {name: packets - before[name] for name, packets in at_the_router(site.premises.space).items()}
    # Without the rules every one of these attempts is seen: the measurement measures something.
    assert seen["four"] >= 5, tried
    assert seen["six"] >= 2, tried
    site.variables["egress_allow"] = [
        {"to": host.addresses.outside, "protocol": "tcp", "ports": [8080], "why": "the mirror"}
    ]
    with a_mirror_outside(site):
        clean = traces(host)
        foreseen = site.play("egress", limit=host, check=True).changed
        assert traces(host) == clean, "a check changes nothing"
        assert site.play("egress", limit=host).changed == foreseen
        yield host
        site.play("egress", limit=host, reset=True)
    assert traces(host) == clean


def test_nothing_leaves_but_to_the_listed_mirror(closed: Host, site: Site) -> None:
    before, wan = at_the_router(site.premises.space), Wan(site.premises.space).capture()[closed.name]
    tried = try_all(closed)
    assert "went through" not in tried.values(), tried
    assert len(tried) == 9
    assert at_the_router(site.premises.space) == before, tried
    assert Wan(site.premises.space).capture()[closed.name] == wan
    url = f"http://{closed.addresses.outside}:8080/"
    fetch = f"python3 -c 'import urllib.request as r; r.urlopen(\"{url}\", timeout=5)'"
    on(closed, fetch)
    assert (Wan(site.premises.space).capture()[closed.name] - wan).sent >= 4


def test_nobody_comes_in_but_peers_and_admins(closed: Host, site: Site) -> None:
    server = "python3 -m http.server 8443 >/dev/null 2>&1"
    on(closed, f"sudo systemd-run --quiet --unit=try-serving --property=RuntimeMaxSec=60 {server}")
    try:
        call = f"until exec 3<>/dev/tcp/{closed.address}/8443; do sleep 0.1; done"
        ask = f"timeout 2 bash -c '{call}' 2>/dev/null"
        assert succeeds_on(site.hosts[1], ask), "peers exchange what they like"
        assert subprocess.run(["bash", "-c", ask], check=False).returncode, (
            "this machine is a controller, no client"
        )
    finally:
        on(closed, "sudo systemctl stop try-serving")


def test_a_second_run_changes_nothing(closed: Host, site: Site) -> None:
    assert site.play("egress", limit=closed).changes() == 0


def test_a_rule_added_by_hand_is_seen_by_a_check_and_mended_by_a_run(closed: Host, site: Site) -> None:
    on(closed, "sudo nft insert rule inet scenario_egress output ip daddr 192.0.2.1 accept")
    foreseen = site.play("egress", limit=closed, check=True)
    assert foreseen.changed == ["Load the rules"]
    assert "-\t\tip daddr 192.0.2.1 accept" in foreseen.output
    assert site.play("egress", limit=closed).changed == ["Load the rules"]
    assert "192.0.2.1" not in on(closed, "sudo nft list ruleset")


def test_tables_of_others_stay_and_their_flush_does_not_open_the_host(closed: Host) -> None:
    on(closed, "sudo nft add table inet of_others && sudo systemctl reload scenario-egress")
    assert "of_others" in on(closed, "sudo nft list tables")
    for action in ("start", "reload", "restart", "stop"):
        on(closed, f"sudo systemctl {action} nftables")  # begins with `flush ruleset`
        tables = on(closed, "sudo nft list tables")
        assert "scenario_egress" in tables, action
        assert "of_others" not in tables


def test_the_rules_are_there_after_a_reboot(closed: Host, site: Site) -> None:
    rules = on(closed, "sudo nft --stateless list ruleset")
    closed.reboot(site.premises.space)
    assert on(closed, "sudo nft --stateless list ruleset") == rules
    assert on(closed, "systemctl is-system-running --wait") == "running"


def test_a_connection_ends_with_its_permission(closed: Host, site: Site) -> None:
    connected = (
        f"import socket, struct; s = socket.create_connection(('{closed.addresses.outside}', 8080)); "
        # Its farewell is one RST, which nobody repeats later.
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.recv(1)"
    )
    run = ["sudo", "systemd-run", "--quiet", "--unit=try-connected", "python3", "-c", connected]
    on(closed, shlex.join(run))
    on(closed, "timeout 5 sh -c 'until sudo ss -tn state established | grep -q :8080; do sleep 0.1; done'")
    try:
        on(closed, "grep -v 8080 /etc/scenario-egress.nft | sudo nft -f -")
        before = at_the_router(site.premises.space)
        on(closed, "sudo systemctl stop try-connected")  # its farewell does not get out any more
        assert at_the_router(site.premises.space) == before
    finally:
        on(closed, "sudo systemctl reload scenario-egress")


def test_a_host_that_is_open_fails_its_validation(closed: Host, site: Site) -> None:
    probes = [closed.addresses.outside, "127.0.0.1"]
    ran = site.play("egress", limit=closed, succeeds=False, egress_probes=probes)
    assert ran.code
    assert "packets to 127.0.0.1 leave this host" in " ".join(ran.output.split())


@pytest.mark.parametrize("becomes", [False, True], ids=["root by the play", "root by the inventory"])
def test_settings_that_would_lock_us_out_change_nothing(fresh: Host, site: Site, *, becomes: bool) -> None:
    before = traces(fresh)
    folder = site.premises.inventory.with_name("host_vars")
    folder.mkdir()
    (folder / f"{fresh.name}.yml").write_text(json.dumps({"ansible_become": True} if becomes else {}))
    try:
        ran = site.play("egress", limit=fresh, succeeds=False, egress_admin_networks=["10.1.2.0/24"])
    finally:
        shutil.rmtree(folder)
    assert ran.code
    assert f"it comes from {fresh.addresses.machine}, and egress_admin_networks is 10.1.2.0/24" in " ".join(
        ran.output.split()
    )
    assert traces(fresh) == before
