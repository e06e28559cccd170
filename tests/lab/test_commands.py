"""`make lab` and `make lab-down` as a user runs them: twice, two at once, and killed at any point."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from lab.premises.access import private_key, ssh_options
from lab.premises.record import load
from tests.campaigns import campaign
from tests.lab.conftest import ROOT, Ansible, command, finish, machine

if TYPE_CHECKING:
    from pathlib import Path

    from lab.fixtures import MakePremises


def test_without_root_both_commands_end_in_one_line_with_the_remedy(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        done = finish("up")
    else:
        unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        environment = os.environ | {"LAB_STATE": str(tmp_path / "state"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*unprivileged, *command("up")],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if "Permission denied" in done.stderr:
            pytest.skip("root may read everything here that others may not")
    assert done.returncode == 1
    assert done.stderr == "make lab: the lab needs root, for namespaces and mounts; sudo make lab\n"


def test_down_of_nothing_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "state"))
    done = finish("down")
    assert (done.returncode, done.stderr) == (0, "the lab is not up: nothing to remove\n")
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_a_path_that_overlays_cannot_have_is_refused(
    lab_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_STATE", str(tmp_path / "a,b"))
    done = finish("up")
    assert done.returncode == 1
    assert re.fullmatch(
        r"make lab: invalid path /.*/a,b: it must not contain .*; set LAB_STATE\n", done.stderr
    )


@pytest.mark.slow
def test_up_twice_says_that_it_is_up_and_down_leaves_the_machine_as_it_was(lab_folder: Path) -> None:
    before = machine(lab_folder)
    first = finish("up")
    assert first.returncode == 0, first.stderr
    assert "the lab is up: premises-1 (" in first.stderr
    again = finish("up")
    assert again.returncode == 0
    assert "the lab is up: premises-1 (" in again.stderr
    assert "starting" not in again.stderr
    assert finish("up", "--hosts", "1").stderr.count("removing premises-2") == 1
    during = machine(lab_folder)
    for kind in ("forwarding", "mounts"):
        assert during[kind] == before[kind], "what the lab does stays in its namespaces"
    done = finish("down")
    assert done.returncode == 0, done.stderr
    assert "no process, namespace, mount, interface, cgroup or file is left" in done.stderr
    assert machine(lab_folder) == before
    assert not lab_folder.exists()


@pytest.mark.slow
def test_two_runs_at_once_make_one_lab(lab_folder: Path, ansible: Ansible) -> None:
    runs = [subprocess.Popen(command("up"), cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    assert sum("waiting: another run holds this lab's lock" in each for each in told) == 1
    assert sum("starting premises-1" in each for each in told) == 1
    done = ansible(lab_folder / "premises" / "inventory.yml", "-m", "ping")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_range_that_is_in_use_ends_the_start_in_one_line_and_leaves_nothing(
    premises: MakePremises, lab_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = premises(hosts=1).addresses.network
    second = lab_folder.parent / "second"
    before = machine(second)
    monkeypatch.setenv("LAB_STATE", str(second))
    monkeypatch.setenv("LAB_NETWORK", taken)
    done = finish("up")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"make lab: LAB_NETWORK={taken}: this machine uses ")
    assert machine(second) == before
    assert not (second / "premises").exists()


@pytest.mark.slow
def test_what_a_person_uses_belongs_to_who_called_sudo(
    lab_folder: Path, ansible: Ansible, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = lab_folder.parent / "state of all" / "lab"
    monkeypatch.setenv("LAB_STATE", str(state))
    monkeypatch.setenv("SUDO_UID", "65534")
    monkeypatch.setenv("SUDO_GID", "65534")
    try:
        done = finish("up", "--hosts", "1")
        assert done.returncode == 0, done.stderr
        premises = state / "premises"
        for path in (state.parent, premises / "inventory.yml", private_key(state)):
            assert path.stat().st_uid == 65534
        lab_folder.parent.chmod(0o755)
        caller = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--reset-env"]
        options = ["-F/dev/null", "-i", str(private_key(state)), *ssh_options(state)]
        address = re.search(r"premises-1 \(([0-9.]+)\)", done.stderr)
        assert address
        done = subprocess.run(
            [*caller, "ssh", *options, f"modelops@{address[1]}", "hostname"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "premises-1\n", done.stderr
        assert ansible(premises / "inventory.yml", "-m", "ping").returncode == 0, "blanks in the path or not"
    finally:
        assert finish("down").returncode == 0


@pytest.mark.slow
def test_two_labs_side_by_side_have_networks_of_their_own(lab_folder: Path, tmp_path: Path) -> None:
    second = os.environ | {"LAB_STATE": str(tmp_path / "state")}
    runs = [
        subprocess.Popen(command("up", "--hosts", "1"), cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
        for env in (os.environ, second)
    ]
    told = [run.communicate()[1] for run in runs]
    try:
        assert [run.returncode for run in runs] == [0, 0], told
        assert len({re.search(r"premises-1 \(([0-9.]+)\)", each)[1] for each in told}) == 2  # type: ignore[index]
    finally:
        down = subprocess.run(
            command("down"), cwd=ROOT, env=second, capture_output=True, text=True, check=False
        )
    assert down.returncode == 0, down.stderr
    assert finish("up", "--hosts", "1").returncode == 0, "the other one is still up"


def duration_of_start(folder: Path) -> float:
    begun = time.monotonic()
    done = finish("up")
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - begun
    assert finish("down").returncode == 0
    return took


def kill_after(seconds: float, *arguments: str) -> None:
    with subprocess.Popen(command(*arguments), cwd=ROOT, stderr=subprocess.DEVNULL) as run:
        time.sleep(seconds)
        run.send_signal(signal.SIGKILL)


@pytest.mark.slow
@campaign("kills", 1, soak=30)
def test_a_start_that_is_killed_at_any_point_is_cleared_away_and_the_next_one_works(
    lab_folder: Path, kills: int
) -> None:
    before = machine(lab_folder)
    whole = duration_of_start(lab_folder)
    seen = set()
    for turn in range(kills):
        # Evenly over the start, and random within each part of it.
        moment = whole * (turn + random.random()) / kills
        kill_after(moment, "up")
        record = load(lab_folder)
        seen.add(f"{record.phase} {bool(record.keeper)} {len(record.hosts)}" if record else "nothing")
        done = finish("down")
        assert done.returncode == 0, f"killed after {moment:.3f} s: {done.stderr}"
        assert machine(lab_folder) == before, f"killed after {moment:.3f} s"
        assert not lab_folder.exists()
    print(f"killed in {whole:.1f} s at: {sorted(seen)}")
    assert finish("up").returncode == 0


_KILLED_AT_STEP = """
import os, signal, subprocess, sys

at, steps = int(sys.argv.pop()), 0


def counted(real):
    def call(*arguments, **options):
        global steps
        steps += 1
        if steps == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    return call


class Popen(subprocess.Popen):
    __init__ = counted(subprocess.Popen.__init__)


subprocess.Popen, os.fsync = Popen, counted(os.fsync)
from lab.up import main

main()
print(steps)
"""


def killed_at_step(step: int) -> subprocess.CompletedProcess[str]:
    """`make lab` that is killed before its n-th step: a program that it runs, or a record that it writes."""
    line = [sys.executable, "-c", _KILLED_AT_STEP, str(step)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@campaign("kills", 2, soak=30)
def test_between_any_two_steps_of_the_start_a_kill_leaves_nothing(lab_folder: Path, kills: int) -> None:
    before = machine(lab_folder)
    whole = killed_at_step(0)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout)
    assert steps > 25
    assert finish("down").returncode == 0
    for step in sorted(random.sample(range(1, steps + 1), min(kills, steps))):
        killed_at_step(step)
        done = finish("down")
        assert done.returncode == 0, f"killed before step {step} of {steps}: {done.stderr}"
        assert machine(lab_folder) == before, f"killed before step {step} of {steps}"
        assert not lab_folder.exists()
    assert finish("up").returncode == 0


@pytest.mark.slow
def test_a_start_that_was_killed_is_made_good_by_the_next_one(lab_folder: Path, ansible: Ansible) -> None:
    kill_after(duration_of_start(lab_folder) * random.uniform(0.2, 0.9), "up")
    done = finish("up")
    assert done.returncode == 0, done.stderr
    assert ansible(lab_folder / "premises" / "inventory.yml", "-m", "ping").returncode == 0


@pytest.mark.slow
@campaign("kills", 1, soak=15)
def test_a_teardown_that_is_killed_is_finished_by_the_next_one(lab_folder: Path, kills: int) -> None:
    before = machine(lab_folder)
    for _ in range(kills):
        assert finish("up", "--hosts", "1").returncode == 0
        kill_after(random.uniform(0.02, 0.4), "down")
        done = finish("down")
        assert done.returncode == 0, done.stderr
        assert machine(lab_folder) == before
        assert not lab_folder.exists()
