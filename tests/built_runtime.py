"""One runtime, built by the real role, for all test deployments that are about something else."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a deployment must be given to want this very runtime, which is named by its interpreter too.
VARIABLES: dict[str, str] = {"model_runtime_python": str(Path(sys.executable).resolve())}
HOSTS_ROOT = "/var/lib/model-deployment-scenarios"
"""Where a host with services of the system's own has it."""
_PLAYBOOKS = Path(__file__).parents[1] / "ansible"


@dataclass(frozen=True)
class BuiltRuntime:
    """Premises that hold a runtime and nothing else; no test changes them."""

    root: Path

    def give_to(self, root: Path) -> None:
        """Make `root`, which must not exist yet, premises that hold the same runtime, by hard links.

        A deployment that wants another runtime than this builds it, as on any host.
        """
        shutil.copytree(self.root, root, symlinks=True, copy_function=os.link)

    def lay_into(self, tree: Path, *, bundle: Path | None = None) -> None:
        """Put the same runtime into a tree that hosts of the lab get below their own files: building it takes
        a host more than a minute of a processor. With a bundle, which has a lock of its own, it is there for
        hosts that are given this bundle."""
        if sys.version_info[:2] != (3, 11):
            pytest.skip("needs Python 3.11, which the lab's hosts have, for the runtime that they share")
        root = tree / HOSTS_ROOT.lstrip("/")
        root.parent.mkdir(parents=True)
        self.give_to(root)
        # The files are shared with other tests, by hard links: these two are the hosts' own.
        (environment,) = (root / "runtime").glob("?" * 64)
        python, settings = environment / "bin" / "python", environment / "pyvenv.cfg"
        python.unlink()
        python.symlink_to("/usr/bin/python3.11")
        text = re.sub(r"^home = .*", "home = /usr/bin", settings.read_text(), flags=re.MULTILINE)
        settings.unlink()
        settings.write_text(text)
        if bundle:
            named, current = environment.with_name(_name_with(bundle)), environment.with_name("current")
            environment.rename(named)
            current.unlink()
            current.symlink_to(named.name)


@contextmanager
def built_runtime(shared: Path) -> Iterator[BuiltRuntime]:
    """Build the runtime below `shared`, or wait for the test worker that does; who leaves last removes it."""
    runtime = BuiltRuntime(shared / "built-runtime")
    # Two locks: who comes waits for who builds it or takes it away, and not for all who use it.
    with (shared / "coming-and-going.lock").open("w") as door, (shared / "in-use.lock").open("w") as use:
        with _held(door):
            if not runtime.root.exists():
                _build(runtime, shared / "built-runtime.new")
            fcntl.flock(use, fcntl.LOCK_SH)
        yield runtime
        with _held(door), suppress(BlockingIOError):
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(runtime.root)


@contextmanager
def _held(lock: TextIO) -> Iterator[None]:
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _build(runtime: BuiltRuntime, aside: Path) -> None:
    shutil.rmtree(aside, ignore_errors=True)
    _play({**VARIABLES, "scenario_root": str(aside)})
    for other in aside.iterdir():
        if other.is_dir() and other.name != "runtime":
            shutil.rmtree(other)  # empty still; which of these a host gets depends on what it is for
    aside.rename(runtime.root)


def _name_with(bundle: Path) -> str:
    """How a runtime from a bundle is called: a check says what would be built."""
    key = bundle.parent / "bundle-key" / "bundle-verification.pem"
    variables = {**VARIABLES, "scenario_root": "/no/such", "bundle": str(bundle), "bundle_key": str(key)}
    found = re.search(r"would build /no/such/runtime/([0-9a-f]{64})", _play(variables, "--check"))
    assert found
    return found[1]


def _play(variables: dict[str, str], *arguments: str) -> str:
    inventory = _PLAYBOOKS / "inventory" / "localhost.yml"
    play = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), "runtime.yml", *arguments]
    command = [*play, "-e", json.dumps(variables)]
    done = subprocess.run(command, cwd=_PLAYBOOKS, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout
