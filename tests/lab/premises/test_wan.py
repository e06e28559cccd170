"""The link to the world outside: cut, restored, slowed, and counted by host and direction."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab import LabError
from lab.premises.access import ssh
from lab.premises.lifecycle import running
from tests.lab.conftest import finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.premises.host import Host
    from lab.premises.wan import Wan

pytestmark = pytest.mark.slow


@pytest.fixture
def host(wan: Wan, lab_folder: Path) -> Host:
    return running(lab_folder).hosts[0]


def pings(host: Host, target: str, number: int) -> int:
    """How many of them are answered."""
    told = ssh(host.folder, host.address, f"ping -c{number} -i0.05 -W1 {target} || true")
    return int(told.split(" received")[0].rpartition(" ")[2])


def test_what_passes_is_counted_by_host_and_direction(wan: Wan, host: Host) -> None:
    before = wan.capture()
    assert list(before) == ["premises-1", "premises-2"]
    assert pings(host, host.addresses.outside, 5) == 5
    after = wan.capture()
    passed = after["premises-1"] - before["premises-1"]
    assert (passed.sent, passed.received, passed.refused) == (5, 5, 0)
    assert (passed.sent_bytes, passed.received_bytes) == (5 * 84, 5 * 84)
    assert after["premises-2"] == before["premises-2"]


def test_a_cut_stops_traffic_and_is_seen_and_the_restored_link_works_again(wan: Wan, host: Host) -> None:
    wan.cut()
    wan.cut()  # twice is as once
    before = wan.capture()["premises-1"]
    assert pings(host, host.addresses.outside, 3) == 0
    passed = wan.capture()["premises-1"] - before
    assert (passed.sent, passed.received, passed.refused) == (0, 0, 3)
    assert pings(host, "premises-2", 2) == 2, "inside the premises all goes on"
    wan.restore()
    before = wan.capture()["premises-1"]
    assert pings(host, host.addresses.outside, 3) == 3
    passed = wan.capture()["premises-1"] - before
    assert (passed.sent, passed.received, passed.refused) == (3, 3, 0)


@contextmanager
def a_server_outside(wan: Wan, folder: Path) -> Iterator[int]:
    port = 8080
    with subprocess.Popen(
        ["nsenter", f"--net={wan.space.wan_network}", sys.executable, "-m", "http.server", str(port)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            time.sleep(1)
            yield port
        finally:
            server.kill()


def test_a_connection_hangs_while_the_link_is_cut_and_goes_on_afterwards(
    wan: Wan, host: Host, tmp_path: Path
) -> None:
    (tmp_path / "release").write_bytes(os.urandom(400_000))
    fetch = (
        f"python3 -c 'import urllib.request as r; "
        f'print(len(r.urlopen("http://{host.addresses.outside}:8080/release", timeout=60).read()))\''
    )
    with a_server_outside(wan, tmp_path):
        wan.slow(rate_kbit=1600)  # two seconds for the file
        begun = time.monotonic()
        assert ssh(host.folder, host.address, fetch).strip() == "400000"
        assert time.monotonic() - begun > 1.5
        options = ["-F/dev/null", f"-oUserKnownHostsFile={host.folder}/premises/ssh/known_hosts"]
        line = [
            "ssh",
            *options,
            "-i",
            f"{host.folder}/premises/ssh/id_ed25519",
            f"modelops@{host.address}",
            fetch,
        ]
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as fetching:
            time.sleep(1)
            wan.cut()
            time.sleep(2)
            assert fetching.poll() is None, "nobody told it"
            wan.restore()
            assert fetching.communicate(timeout=30)[0].strip() == "400000"


def test_a_guest_that_outlives_the_lab_is_named_by_the_teardown(
    wan: Wan, host: Host, lab_folder: Path, tmp_path: Path
) -> None:
    with a_server_outside(wan, tmp_path):
        (guest,) = [each.pid for each in wan.space.inhabitants() if "http.server" in command_line(each.pid)]
        done = finish("down")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            f"make lab-down: left behind: process {guest}, in the lab's namespaces; "
            "end or remove these, and run make lab-down again"
        )
    assert finish("down").returncode == 0


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_a_link_that_loses_packets_says_how_many(wan: Wan, host: Host) -> None:
    wan.slow(loss_percent=100)
    assert pings(host, host.addresses.outside, 3) == 0
    wan.slow(loss_percent=30)
    before = wan.capture()["premises-1"]
    answered = pings(host, host.addresses.outside, 60)
    passed = wan.capture()["premises-1"] - before
    assert 5 < answered < 55
    assert passed.received == answered
    assert passed.sent + passed.refused == 60


def test_a_delay_is_added_or_refused_by_name_where_the_kernel_has_none(wan: Wan, host: Host) -> None:
    try:
        wan.slow(delay_ms=40)
    except LabError as error:
        assert str(error).startswith("this kernel cannot delay packets: it has no netem; load the module")  # noqa: PT017
    else:
        told = ssh(host.folder, host.address, f"ping -c3 -i0.2 {host.addresses.outside}")
        assert 80 <= float(told.rpartition("= ")[2].split("/")[0]) < 200
    wan.restore()
    assert pings(host, host.addresses.outside, 2) == 2


@pytest.mark.parametrize("wrong", [{"delay_ms": -1}, {"loss_percent": 101}, {"rate_kbit": -5}])
def test_what_no_link_can_be_is_refused(wrong: dict[str, float], wan: Wan) -> None:
    with pytest.raises(LabError, match="loss between 0 and 100 percent"):
        wan.slow(**wrong)


def test_nobody_outside_gets_in_and_no_host_gets_to_this_machine(wan: Wan, host: Host) -> None:
    into = ["ping", "-c1", "-W1", host.address]
    with pytest.raises(LabError):  # there is not even a route
        wan.space.run_outside(into)
    wan.space.run_outside(["ip", "route", "add", "default", "via", host.addresses.router_outside])
    with pytest.raises(LabError):
        wan.space.run_outside(into)
    with http.server.HTTPServer((host.addresses.machine, 0), http.server.SimpleHTTPRequestHandler) as here:
        reach = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{host.addresses.machine}/{here.server_port}'; echo $?"
        assert ssh(host.folder, host.address, reach).strip() == "124"
