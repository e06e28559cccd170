"""Runs a playbook in its own process and returns the outcome for each host."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.ansible.environment import ansible_environment
from components.ansible.events import Report
from components.errors import PremisesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaybookRun:
    """One run of a playbook.

    Attributes:
        root: the project; `playbook` and `inventory` are below it or absolute.
        playbook: the playbook's path.
        inventory: the inventory's path.
        variables: extra variables; they override all others.
        secrets: extra variables that no output may show: texts, or texts by name.
        check: predict changes (`--check --diff`) and make none.

    """

    root: Path
    playbook: str
    inventory: str
    variables: dict[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    check: bool = False


def run_playbook(run: PlaybookRun) -> Report:
    """Run a playbook to completion and return its outcome; Pulumi shows the progress from standard error.

    Ansible runs below its own process (`worker`): a provider's process has gRPC threads, which a fork
    would break, and can be killed at any time, which the worker notices. Variables are passed by a pipe.

    Raises:
        PremisesError: a host failed or was unreachable, by name and with the failing task's message; or
            the playbook cannot run at all.

    """
    report = Report(playbook=run.playbook, secrets=tuple(_texts(run.secrets)), tells_progress=not run.check)
    order = {
        "playbook": str((run.root / run.playbook).absolute()),
        "inventory": str((run.root / run.inventory).absolute()),
        "variables": {**run.variables, **run.secrets},
        "check": run.check,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "components.ansible.worker"],
        cwd=run.root,
        env=ansible_environment((run.root / run.playbook).parent),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdin  # noqa: S101 - both are pipes
        assert worker.stdout  # noqa: S101
        # Kept open until the worker is done: if this process dies, the worker sees EOF and stops.
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()
        for line in worker.stdout:
            report.take(json.loads(line))
    if worker.returncode:
        message = f"{run.playbook}: ansible-runner ended with {worker.returncode}; see its output above"
        raise PremisesError(message)
    report.raise_for_failure()
    return report


def _texts(secrets: Mapping[str, str | Mapping[str, str]]) -> Iterator[str]:
    for secret in secrets.values():
        yield from [secret] if isinstance(secret, str) else secret.values()
