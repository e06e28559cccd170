"""Two bare hosts without a way out train together, by Ansible alone; one loses its power in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab import lock
from lab.fixtures import a_folder
from lab.premises.access import ssh
from lab.premises.lifecycle import bring_up
from tests.ansible.conftest import PLAYBOOKS, Ran
from tests.built_runtime import HOSTS_ROOT, VARIABLES
from tests.chapters import write_chapters
from tests.conftest import SHARING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.premises.lifecycle import Premises

# `make test` lets processes train together as hosts do: tests/model/train/test_hosts.py.
pytestmark = [pytest.mark.soak, pytest.mark.timeout(2400)]

HOME = HOSTS_ROOT
STEPS = 120


@dataclass
class Trainers:
    """Two hosts, both in group training, and what every play is told."""

    premises: Premises
    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)

    def begin(self, playbook: str, *arguments: str, **variables: Any) -> subprocess.Popen[str]:
        """Start a playbook as a user would."""
        told = self.folder / "variables.json"
        told.write_text(json.dumps({**self.variables, **variables}))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.folder / "inventory.yml")]
        return subprocess.Popen(
            [*command, playbook, "-e", f"@{told}", *arguments],
            cwd=PLAYBOOKS,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(self.folder / "ansible-home")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def play(self, playbook: str, *arguments: str, succeeds: bool = True, **variables: Any) -> Ran:
        """Run a playbook to its end."""
        return finished(self.begin(playbook, *arguments, **variables), succeeds=succeeds)

    def on(self, number: int, command: str) -> str:
        host = self.premises.hosts[number]
        return ssh(host.folder, host.address, command, timeout_s=60).strip()

    def unit(self, number: int, wanted: str) -> str:
        """A property of a host's training service."""
        return self.on(number, f"systemctl show --property={wanted} --value 'training-*.service'")

    def file(self, name: str) -> Path | None:
        """A file of the one run, on the first host's disk as it is seen from outside."""
        return next((self.premises.hosts[0].home / f"upper{HOME}").glob(f"runs/*/{name}"), None)

    def wait_for(self, name: str, lines: int = 1) -> str:
        """What is in a file of the run once it has so many lines."""
        deadline = time.monotonic() + 600
        while not (file := self.file(name)) or len((text := file.read_text()).splitlines()) < lines:
            assert time.monotonic() < deadline, f"no {name} with {lines} lines"
            time.sleep(0.1)
        return text


def finished(play: subprocess.Popen[str], *, succeeds: bool = True) -> Ran:
    output, _ = play.communicate(timeout=1200)
    if succeeds and play.returncode:
        pytest.fail(f"the play ended with {play.returncode}:\n{output[-6000:]}")
    return Ran(play.returncode, output)


@pytest.fixture(scope="module")
def trainers(
    tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path, laid_runtime: Path
) -> Iterator[Trainers]:
    """Both hosts with a runtime that is built, a tiny foundation model and a few texts."""
    folder = tmp_path_factory.mktemp("trainers")
    with a_folder() as state, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CLOUD", "none")
        with lock.exclusive(state):
            premises = bring_up(state, 2, over=[laid_runtime])
        made = Trainers(premises, folder)
        prepare(made, tiny_checkpoint)
        made.play("runtime.yml")
        yield made
        made.play("reset.yml")
        for number in range(2):
            assert made.on(number, f"ls -d {HOME} /etc/systemd/system/training-* 2>/dev/null || true") == ""
            assert made.on(number, "getent passwd scenario || true") == ""


def prepare(trainers: Trainers, checkpoint: Path) -> None:
    """An inventory of hosts that only train, what they are told, and what they train from and on."""
    written = yaml.safe_load(trainers.premises.inventory.read_text())["premises"]
    ours = {"ansible_become": True, "service_host_environment": SHARING}
    groups = {"children": {"training": {"hosts": written["hosts"]}}, "vars": {**written["vars"], **ours}}
    (trainers.folder / "inventory.yml").write_text(yaml.safe_dump({"premises": groups}))
    trainers.variables = {
        **VARIABLES,
        "foundation": {"kind": "directory", "path": "/srv/trained/tiny", "max_perplexity": 1e9},
        "training_data": {"kind": "text", "path": "/srv/trained/texts", "held_out": 0.4},
        "recipe": {
            "method": "full",
            "dtype": "fp32",
            "epochs": 1000,
            "max_steps": STEPS,
            "sequence_length": 64,
            "tokens_per_step": 256,
            "learning_rate": 0.001,
        },
        "gate": {"old_domain_margin": 1000.0},
        "training_poll_seconds": 2,
    }
    texts = write_chapters(trainers.folder / "texts")
    archive = trainers.folder / "trained.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(checkpoint, "trained/tiny")
        tar.add(texts, "trained/texts")
    ansible = [sys.executable, "-m", "ansible", "adhoc", "-i", str(trainers.folder / "inventory.yml")]
    unpack = ["-m", "ansible.builtin.unarchive", "-a", f"src={archive} dest=/srv mode=a+rX"]
    subprocess.run([*ansible, "premises", *unpack], cwd=PLAYBOOKS, check=True, capture_output=True)


@pytest.fixture(scope="module")
def uninterrupted(trainers: Trainers) -> str:
    """The digest of the model that both hosts train together when nothing happens to them."""
    ran = trainers.play("train.yml")
    assert f"/{STEPS}, loss" in ran.output
    model: str = json.loads(trainers.wait_for("result.json"))["model"]
    return model


def test_the_first_host_alone_keeps_the_run_and_converging_again_changes_nothing(
    trainers: Trainers, uninterrupted: str
) -> None:
    assert uninterrupted
    record = json.loads(trainers.wait_for("run.json"))
    assert record["processes"] == record["environment"]["processes"] == 2
    assert trainers.on(0, f"sudo ls {HOME}/keys").split() == [
        "release-signing.pem",
        "release-verification.pem",
    ]
    assert trainers.on(1, f"sudo ls {HOME}/keys {HOME}/runs {HOME}/store").split() == [
        f"{HOME}/keys:",
        f"{HOME}/runs:",
        f"{HOME}/store:",
    ]
    again = trainers.play("train.yml")
    assert again.changes() == 0, again.changed


def test_a_host_that_has_other_data_is_named_before_anything_trains(trainers: Trainers) -> None:
    more = "A chapter that the first host lacks, long enough to count as a document of its own."
    trainers.on(1, f"echo '{more}' | sudo tee /srv/trained/texts/more.txt")
    try:
        said = " ".join(trainers.play("train.yml", succeeds=False).output.split())
    finally:
        trainers.on(1, "sudo rm /srv/trained/texts/more.txt")
    assert "premises-2 and premises-1 differ in data (sha256:" in said, said[-3000:]


def test_a_host_that_loses_its_power_is_named_and_with_it_back_the_run_ends_the_same(
    trainers: Trainers, uninterrupted: str
) -> None:
    trainers.on(0, f"sudo sh -c 'rm -r {HOME}/runs/* {HOME}/training/outcome.json'")
    play = trainers.begin("train.yml", training_stall_timeout_seconds=60)
    trainers.wait_for("progress.jsonl", 15)
    gone = trainers.premises.hosts[1]
    gone.cut_power()
    allowed = trainers.unit(0, "IPAddressAllow")
    assert all(host.address in allowed for host in trainers.premises.hosts), "and they reach no other host"
    said = " ".join(finished(play, succeeds=False).output.split())
    assert "is stalled" in said, said[-3000:]
    assert "premises-2 cannot be reached" in said, said[-3000:]
    assert not trainers.file("result.json")
    assert trainers.unit(0, "ActiveState") in {"active", "activating"}
    assert int(trainers.unit(0, "NRestarts")) > 0
    gone.boot_again(trainers.premises.space)
    assert json.loads(trainers.wait_for("result.json"))["model"] == uninterrupted
    assert trainers.play("train.yml").recap["premises-1"]["failed"] == 0
