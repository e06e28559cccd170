"""Three hosts with systemd on which site.yml has run: one trains, two serve; for faults of all kinds.

All of it is `make soak`'s: `make test` has such hosts in tests/end_to_end/test_premises_hosts.py, and the same plays on
this machine in tests/ansible/test_site.py.

The runtime was built on this machine, and lies below each host's own files: building takes a minute a host.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import ssl
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import lab.callbacks
from lab import lock
from lab.fixtures import a_folder
from lab.premises.debian_tree import base_tree
from lab.premises.lifecycle import bring_up
from scenario_model.serve import credentials
from tests.ansible.hosts.conftest import Site, on
from tests.built_runtime import HOSTS_ROOT, VARIABLES
from tests.chapters import write_chapters
from tests.conftest import SHARING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.premises.host import Host
    from tests.ansible.conftest import Ran

ROOT = HOSTS_ROOT
SERVING: dict[str, Any] = {
    "host": "0.0.0.0",
    "engine": {"compile": "off", "weights": "fp32", "threads": 1, "max_sequences": 2},
}
RECIPE = {"method": "full", "max_steps": 4, "sequence_length": 128, "learning_rate": 0.01}
SETTINGS: dict[str, Any] = {
    **VARIABLES,
    "service_host_environment": SHARING,
    "foundation": {"kind": "directory", "path": "/srv/foundation", "max_perplexity": 1e9},
    "training_data": {"kind": "text", "path": "/srv/texts", "held_out": 0.4},
    "recipe": RECIPE,
    # Random weights have no general knowledge to keep.
    "gate": {"old_domain_margin": 1.0},
    "serving": SERVING,
    "training_poll_seconds": 2,
}


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a host serves with: what is on its disk, what systemd read of it, what the process was given."""

    release: str
    settings: dict[str, Any]
    defined: str
    running: str
    process: str
    loose_ends: tuple[str, ...]


@dataclass
class ServingSite(Site):
    """The lab's hosts with the service on them, and the credentials that it was given."""

    trees: tuple[Path, ...] = ()
    tls: Path = Path()
    said: list[str] = field(default_factory=list)
    tasks: int = 0

    @property
    def servers(self) -> list[Host]:
        return self.hosts[1:]

    def run(self, *arguments: Any, **options: Any) -> Ran:
        ran = super().run(*arguments, **options)
        self.said.append(ran.output)
        return ran

    def give(self, folder: Path) -> None:
        """Make credentials in a folder, which the next run brings to the hosts."""
        credentials.ensure(folder, [host.address for host in self.hosts])
        digest = json.loads((folder / "api_keys.json").read_text())["keys"][0]["sha256"]
        self.variables |= {
            "tls_certificate": (folder / "server.pem").read_text(),
            "tls_private_key": (folder / "server.key").read_text(),
            "api_key_sha256": digest,
        }
        self.tls = folder

    def ask(self, host: Host, path: str = "/readyz") -> tuple[int, str]:
        """Ask a host as a client does; returns (status, release)."""
        trusted = ssl.create_default_context(cafile=self.tls / "ca.pem")
        headers = {"Authorization": f"Bearer {(self.tls / 'api_key').read_text().strip()}"}
        request = urllib.request.Request(f"https://{host.address}:8443{path}", headers=headers)
        with urllib.request.urlopen(request, context=trusted, timeout=30) as answer:
            return answer.status, answer.headers["x-release"]

    def served(self, host: Host) -> Served:
        """Ask a host, and look at what it has."""
        status, release = self.ask(host)
        assert status == 200
        look = f"""
            cd {ROOT}; unit=$(echo services/inference-*.service); name=$(basename "$unit")
            process=$(systemctl show --property=MainPID --value "$name")
            tr -d '\\n' < inference/serve.json; echo
            grep -o 'SCENARIO_FINGERPRINT=[0-9a-f]*' "$unit"
            tr '\\0' '\\n' < /proc/$process/environ | grep SCENARIO_FINGERPRINT
            echo $process $(systemctl show --property=NeedDaemonReload --value "$name")
            find . -xdev ! -path './runtime/*' -regex '.*/\\(arriving\\|[.]ansible.*\\|.*[.]part\\)'
        """
        line = f"sudo sh -ceu {shlex.quote(look)}"
        settings, defined, running, process, *rest = on(host, line).splitlines()
        return Served(
            release=release,
            settings=json.loads(settings),
            defined=defined,
            running=running,
            process=process,
            loose_ends=tuple(rest),
        )

    def run_with_a_cut(self, lost: Host, before: int, **variables: Any) -> tuple[Ran, float | None]:
        """Run site.yml, and pull a host's cable before the task with a number; also returns when that was, in
        seconds of the epoch, or None where the run has fewer tasks."""
        events, gate = self.folder / "events.jsonl", self.folder / "gate"
        for each in (events, gate):
            each.unlink(missing_ok=True)
        os.mkfifo(gate)
        callback = {"ANSIBLE_CALLBACK_PLUGINS": str(Path(lab.callbacks.__file__).parent)}
        callback |= {"ANSIBLE_CALLBACKS_ENABLED": "task_events", "TASK_EVENTS": str(events)}
        self.environment |= {**callback, "TASK_EVENTS_STOP": str(before), "TASK_EVENTS_GATE": str(gate)}
        cut = None
        with ThreadPoolExecutor(1) as beside:
            try:
                going = beside.submit(self.run, "site.yml", succeeds=False, **variables)
                while not going.done() and cut is None:
                    time.sleep(0.02)
                    if any(each["event"] == "stopped" for each in self.events()):
                        lost.cut(self.premises.space)
                        cut = time.time()
                        gate.write_bytes(b"")
                return going.result(), cut
            finally:
                for name in (*callback, "TASK_EVENTS_STOP", "TASK_EVENTS_GATE"):
                    del self.environment[name]
                lost.restore(self.premises.space)

    def events(self) -> list[dict[str, Any]]:
        """What the last run with a cut told of its tasks."""
        file = self.folder / "events.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]


@pytest.fixture(scope="session")
def learning(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """What every host has from the start besides the runtime: a foundation model, and texts to learn."""
    tree = tmp_path_factory.mktemp("learning") / "tree"
    write_chapters(tree / "srv" / "texts")
    # Contents alone: whoever serves has to be able to read them.
    shutil.copytree(tiny_checkpoint, tree / "srv" / "foundation", copy_function=shutil.copyfile)
    return tree


@pytest.fixture(scope="session")
def bare(
    tmp_path_factory: pytest.TempPathFactory, learning: Path, laid_runtime: Path
) -> Iterator[ServingSite]:
    """Three hosts, whether anything was deployed on them or not."""
    with a_folder() as folder:
        trees = (learning, laid_runtime, base_tree())
        with lock.exclusive(folder):
            premises = bring_up(folder, 3, over=trees[:2])
        made = ServingSite(premises, tmp_path_factory.mktemp("site"), trees=trees)
        written = yaml.safe_load(premises.inventory.read_text())
        written["premises"]["vars"]["ansible_become"] = True
        made.inventory = made.folder / "inventory.yml"
        made.inventory.write_text(yaml.safe_dump(written))
        made.variables = dict(SETTINGS)
        temporary = made.folder / "tmp"
        temporary.mkdir()
        made.environment = {"TMPDIR": str(temporary)}
        made.give(made.folder / "tls")
        yield made


@pytest.fixture(scope="session")
def site(bare: ServingSite) -> ServingSite:
    """The same after site.yml. Who breaks something mends it."""
    bare.tasks = bare.run("site.yml").tasks
    return bare
