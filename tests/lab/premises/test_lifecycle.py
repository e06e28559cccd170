"""Real hosts: they boot, are reached by Ansible, come and go by number, and are gone without a trace."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from lab import LabError, cgroups
from lab.premises.access import known_hosts, ssh
from lab.premises.lifecycle import running
from lab.premises.record import load
from lab.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from lab.fixtures import MakePremises
    from lab.premises.host import Host
    from tests.lab.conftest import Ansible

pytestmark = pytest.mark.slow


def on(host: Host, line: str) -> str:
    return ssh(host.folder, host.address, line).strip()


def test_ansible_reaches_five_hosts_and_becomes_root_on_them(
    premises: MakePremises, ansible: Ansible
) -> None:
    lab = premises(hosts=5)
    done = ansible(lab.inventory, "-m", "ping")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"ping": "pong"') + done.stdout.count("ping: pong") == 5
    done = ansible(lab.inventory, "--become", "-m", "command", "-a", "id -un")
    assert done.stdout.count("\nroot") == 5, done.stdout


def test_systemd_is_the_first_process_and_starts_a_unit(premises: MakePremises) -> None:
    (host,) = premises(hosts=1).hosts
    assert on(host, "cat /proc/1/comm") == "systemd"
    unit = "[Service]\nExecStart=/bin/sleep 600\nDynamicUser=yes\nProtectSystem=strict\n"
    on(host, f"printf '{unit}' | sudo tee /etc/systemd/system/try.service && sudo systemctl start try")
    assert on(host, "systemctl is-active try") == "active"
    assert on(host, "systemctl show -P DynamicUser try") == "yes"
    on(host, "sudo nft add table inet own && sudo nft add chain inet own output")
    assert on(host, "systemctl is-system-running --wait") == "running"


def test_a_unit_may_be_kept_from_the_network_by_systemd_and_by_nftables(premises: MakePremises) -> None:
    (host,) = premises(hosts=1).hosts
    router, machine = host.addresses.router, host.addresses.router_inside
    unit = "sudo systemd-run --wait -q -p IPAddressDeny=any -p IPAddressAllow={}"
    call = unit + " ping -c1 -W1 {} >/dev/null; echo $?"
    assert on(host, call.format(router, router)) == "0"
    assert on(host, call.format(machine, router)) == "1"
    chain = "type filter hook output priority 0; ip daddr " + router + " drop;"
    rules = "table inet own { chain output { " + chain + " }; }"
    on(host, f"echo '{rules}' | sudo nft -f -")
    assert on(host, f"ping -c1 -W1 {router} >/dev/null; echo $?") == "1"


def test_hosts_know_each_other_by_name_and_keep_their_files_to_themselves(premises: MakePremises) -> None:
    first, second = premises().hosts
    assert on(first, f"hostname; getent hosts {second.name}").split() == [
        first.name,
        second.address,
        second.name,
    ]
    on(first, f"ping -c1 -W5 {second.name}")
    on(first, "sudo rm /etc/os-release /usr/bin/ping; sudo touch /of-the-first")
    assert "bookworm" in on(second, "cat /etc/os-release; ls /usr/bin/ping")
    assert on(second, "ls /of-the-first 2>/dev/null || echo none") == "none"
    assert on(first, "cat /etc/machine-id") != on(second, "cat /etc/machine-id")


def test_a_host_whose_key_changed_is_refused(premises: MakePremises, ansible: Ansible) -> None:
    lab = premises()
    on(
        lab.hosts[0],
        "sudo rm /etc/ssh/ssh_host_ed25519_key && sudo ssh-keygen -q -t ed25519 -N '' "
        "-f /etc/ssh/ssh_host_ed25519_key && sudo systemctl restart ssh",
    )
    # Nothing is sent to the host but the command: what is cut off while it sends says no more than that.
    done = ansible(lab.inventory, "-m", "raw", "-a", "echo pong")
    assert done.returncode != 0
    assert re.search(r"premises-1 \| UNREACHABLE", done.stdout)
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stdout + done.stderr
    assert re.search(r"premises-2 \| CHANGED.*\npong", done.stdout)


def test_nobody_gets_in_without_the_labs_key(premises: MakePremises, lab_folder: Path) -> None:
    (host,) = premises(hosts=1).hosts
    trusting = ["-F/dev/null", "-oBatchMode=yes", f"-oUserKnownHostsFile={known_hosts(lab_folder)}"]
    for user in ("modelops", "root"):
        done = subprocess.run(
            ["ssh", *trusting, "-oIdentitiesOnly=yes", "-i/dev/null", f"{user}@{host.address}", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 255
        assert "Permission denied (publickey)" in done.stderr


def test_hosts_come_and_go_beside_those_that_run(premises: MakePremises, ansible: Ansible) -> None:
    first, second = premises(hosts=2).hosts
    started = on(first, "stat -c %Y /proc/1")
    lab = premises(hosts=3)
    assert [host.name for host in lab.hosts] == ["premises-1", "premises-2", "premises-3"]
    assert ansible(lab.inventory, "-m", "ping").returncode == 0
    lab = premises(hosts=1)
    assert ansible(lab.inventory, "-m", "ping").returncode == 0
    assert on(first, "stat -c %Y /proc/1") == started, "it was not started anew"
    assert not second.home.exists()
    assert not (cgroups.hierarchy() / second.cgroup).exists()
    with pytest.raises(LabError):
        on(second, "true")
    lab = premises(hosts=2)  # the same name and address, another key
    done = ansible(lab.inventory, "-m", "ping")
    assert done.returncode == 0, done.stdout


def test_a_host_that_died_is_replaced(premises: MakePremises) -> None:
    lab = premises(hosts=2)
    on(lab.hosts[0], "sudo touch /before")
    cgroups.kill(lab.hosts[0].cgroup)
    lab = premises()
    assert on(lab.hosts[0], "ls /before 2>/dev/null || echo new") == "new"


def test_a_lab_that_lost_its_keeper_is_made_anew(premises: MakePremises, lab_folder: Path) -> None:
    premises(hosts=1)
    record = load(lab_folder)
    assert record
    assert record.keeper
    record.keeper.kill()
    with pytest.raises(LabError, match="the lab is not up; make lab"):
        running(lab_folder)
    (host, _) = premises(hosts=2).hosts
    assert on(host, "hostname") == "premises-1"


@pytest.mark.parametrize("content", ["", "{}", '{"boot": 1, "keeper": 2}'])
def test_a_lab_whose_record_was_damaged_is_cleared_away_all_the_same(
    content: str, premises: MakePremises, lab_folder: Path
) -> None:
    before = premises(hosts=1)
    (lab_folder / "premises" / "record.json").write_text(content)
    after = premises(hosts=1)
    assert after.space.keeper != before.space.keeper
    assert Process.of(before.space.keeper) is None
    assert on(after.hosts[0], "hostname") == "premises-1"


@pytest.mark.parametrize("hosts", [0, 100])
def test_a_number_of_hosts_that_is_not_possible_is_refused(hosts: int, premises: MakePremises) -> None:
    with pytest.raises(LabError, match=f"invalid number of hosts {hosts}: use 1 to 99"):
        premises(hosts=hosts)
