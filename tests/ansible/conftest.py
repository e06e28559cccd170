"""Premises of their own for these tests: a folder, a free port, an inventory; and the real playbooks."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import ansible.module_utils
from tests.built_runtime import VARIABLES
from tests.conftest import SHARING
from tests.processes import processes_naming, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import psutil

    from tests.built_runtime import BuiltRuntime

PLAYBOOKS = Path(__file__).parents[2] / "ansible"
# As Ansible does when it packs a module: what lies beside the playbooks is found beside its own.
ansible.module_utils.__path__.append(str(PLAYBOOKS / "module_utils"))
SOON = {
    "rank": 4,
    "learning_rate": 1e-2,
    "sequence_length": 64,
    "tokens_per_step": 256,
    "micro_batch": 2,
    "max_steps": 4,
    "dtype": "fp32",
}


def free_port() -> int:
    """A TCP port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def module() -> Any:
    """Loads one of our Ansible modules by its name, to test what is in it."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"our_{name}", PLAYBOOKS / "library" / f"{name}.py")
        assert spec
        assert spec.loader
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded

    return load


@dataclass
class Ran:
    """What a playbook did: exit code, all it printed, each host's recap, the tasks that changed something
    (`where` says on which host)."""

    code: int
    output: str
    recap: dict[str, dict[str, int]] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    where: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        task = ""
        for line in self.output.splitlines():
            if found := re.match(r"TASK \[(?:[a-z_]+ : )?(.*?)\] \*", line):
                task = found[1]
            elif found := re.match(r"changed: \[([^\] ]+)", line):
                self.changed.append(task)
                self.where.append((found[1], task))
            elif found := re.match(r"(\S+)\s+: (ok=.*)", line):
                counts = (pair.split("=") for pair in found[2].split())
                self.recap[found[1]] = {name: int(count) for name, count in counts}

    @property
    def tasks(self) -> int:
        """How many tasks there were, whether for one host or several."""
        return self.output.count("\nTASK [")

    def changes(self) -> int:
        """How many tasks changed something, over all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())


@dataclass
class Premises:
    """A scenario root with its variables; nothing of it is outside of `folder`."""

    folder: Path
    variables: dict[str, Any]
    inventory: Path = PLAYBOOKS / "inventory" / "localhost.yml"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def port(self) -> int:
        return int(self.variables["serving"]["port"])

    def command(self, playbook: str, *arguments: str, **variables: Any) -> list[str]:
        file = self.folder / "variables.json"
        file.write_text(json.dumps({**self.variables, **variables}))
        program = [sys.executable, "-m", "ansible", "playbook"]
        return [*program, "-i", str(self.inventory), playbook, "-e", f"@{file}", *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(self.folder / "ansible-home")}

    def run(self, playbook: str, *arguments: str, succeeds: bool = True, **variables: Any) -> Ran:
        """Run a playbook as a user would; `variables` win over the premises' own."""
        done = subprocess.run(
            self.command(playbook, *arguments, **variables),
            cwd=PLAYBOOKS,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        if succeeds and done.returncode:
            pytest.fail(f"{playbook} ended with {done.returncode}:\n{done.stdout[-6000:]}")
        return Ran(done.returncode, done.stdout)

    def processes(self) -> list[psutil.Process]:
        """Every process that names this folder in its command line, but for the tests themselves."""
        return processes_naming(self.folder)

    def server(self) -> psutil.Process:
        """The process that serves."""
        (process,) = (p for p in self.processes() if {"scenario_model", "serve"} <= set(words_of(p)))
        return process


def _inventory(folder: Path, hosts: dict[str, dict[str, Any]]) -> Path:
    """An inventory of one host that trains and one that serves, both this machine."""
    common = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    trains, serves = hosts
    groups = {"training": {"hosts": {trains: hosts[trains]}}, "inference": {"hosts": {serves: hosts[serves]}}}
    file = folder / "inventory.yml"
    file.write_text(yaml.safe_dump({"premises": {"children": groups, "vars": common}}))
    return file


@pytest.fixture(scope="session")
def variables(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model and data so small that all of site.yml is a matter of seconds once the runtime is there."""
    data = tmp_path_factory.mktemp("data")
    # A copy of the package: who edits it while the tests run does not change what they install.
    package = tmp_path_factory.mktemp("package") / "model"
    shutil.copytree(
        PLAYBOOKS.parent / "model", package, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    words = [
        "river",
        "stone",
        "lantern",
        "harbor",
        "winter",
        "copper",
        "engine",
        "garden",
        "letter",
        "signal",
        "window",
        "market",
    ]
    for number in range(40):
        text = " ".join(words[(number * 5 + place * (number + 3)) % len(words)] for place in range(200))
        (data / f"{number:02}.txt").write_text(f"Document {number}. {text}\n")
    return {
        **VARIABLES,
        "service_host_environment": SHARING,
        "foundation": {"kind": "directory", "path": str(tiny_checkpoint), "max_perplexity": 1e9},
        "training_data": {"kind": "text", "path": str(data), "held_out": 0.3},
        "recipe": SOON,
        "gate": {"old_domain_margin": 1.0},
        "model_runtime_source": str(package),
        "service_manager": "supervisor",
        "training_poll_seconds": 2,  # each look costs a third of a processor second
    }


def _premises(folder: Path, variables: dict[str, Any]) -> Premises:
    serving = {"port": free_port(), "engine": {"compile": "off", "weights": "fp32", "max_sequences": 2}}
    return Premises(folder, {**variables, "scenario_root": str(folder / "root"), "serving": serving})


@pytest.fixture
def premises(tmp_path: Path, variables: dict[str, Any]) -> Iterator[Premises]:
    """Premises where nothing is yet; whatever a test starts there is gone after it."""
    made = _premises(tmp_path, variables)
    yield made
    if made.root.exists():
        made.run("reset.yml")


@pytest.fixture
def ready_to_train(premises: Premises, runtime: BuiltRuntime) -> Premises:
    """Premises after runtime.yml."""
    runtime.give_to(premises.root)
    premises.run("runtime.yml")
    return premises


@pytest.fixture
def two_hosts(tmp_path: Path, variables: dict[str, Any], runtime: BuiltRuntime) -> Iterator[Premises]:
    """One host trains and another one serves: two folders that share nothing but the runtime's files."""
    made = _premises(tmp_path, variables)
    del made.variables["scenario_root"]
    hosts = {name: {"scenario_root": str(tmp_path / name)} for name in ("trainer", "server")}
    made.inventory = _inventory(tmp_path, hosts)
    for name in hosts:
        runtime.give_to(tmp_path / name)
    yield made
    if any((tmp_path / name).exists() for name in hosts):
        made.run("reset.yml")


@pytest.fixture(scope="module")
def converged(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, Any], runtime: BuiltRuntime
) -> Iterator[Premises]:
    """Premises after site.yml: trained, released, served. Who breaks something mends it."""
    made = _premises(tmp_path_factory.mktemp("premises"), variables)
    runtime.give_to(made.root)
    try:
        made.run("site.yml")
        yield made
    finally:
        made.run("reset.yml")
    assert not made.root.exists()
    assert not made.processes()
