"""The AWS side of the lab from nothing to up, and back: a moto server and the token webhook, written down.

Standard library only. Both carry the lab's mark, so a teardown also finds what a killed start did not write
down.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import LabError
from lab.aws import CREDENTIALS, REGION
from lab.aws.environment import ROOT, python
from lab.processes import MARK, Process, boot_id, marked

if TYPE_CHECKING:
    from collections.abc import Sequence

_SERVER, _WEBHOOK = "lab.aws.server", "lab.aws.token_webhook"
_PATIENCE_S = 240.0
"""Seconds: it takes three of a processor, which a loaded machine may not give soon."""
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Aws:
    """An AWS API that is up: where it listens, and where Kubernetes asks whose a token is."""

    endpoint: str
    token_webhook: Path
    """For kube-apiserver's `--authentication-token-webhook-config-file`."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3, the AWS CLI and Pulumi's provider speak to the lab alone."""
        return CREDENTIALS | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def bring_up(folder: Path, *, address: str = "127.0.0.1", within: Sequence[str] = ()) -> Aws:
    """Start what is not up yet; the caller holds the lab's lock.

    `address` is where both listen, a port of it that is free; `within` is a command to start them through,
    such as nsenter. Raises LabError with their last words; then nothing is left.
    """
    there = running(folder)
    if there:
        return there
    take_down(folder)
    (folder / "aws").mkdir(parents=True)
    interpreter = str(python())

    def start(module: str, *told: str) -> None:
        where = ["--address", address, "--url-file", str(_url(folder, module))]
        _start(folder, module, [*within, interpreter, "-m", module, *where, *told])

    try:
        start(_SERVER, "--kubeconfig", str(_kubeconfig(folder)))
        start(_WEBHOOK, "--endpoint", _read(_url(folder, _SERVER)), "--config", str(_webhook(folder)))
    except BaseException:
        take_down(folder)
        raise
    return Aws(_read(_url(folder, _SERVER)), _webhook(folder))


def running(folder: Path) -> Aws | None:
    """Return the AWS API that is up; None unless both of its processes are."""
    recorded = _recorded(folder)
    if all(name in recorded and recorded[name].alive for name in (_SERVER, _WEBHOOK)):
        return Aws(_read(_url(folder, _SERVER)), _webhook(folder))
    return None


def take_down(folder: Path) -> None:
    """End both and remove their files, whatever a killed run left. Raises LabError naming what stays."""
    for process in (*_recorded(folder).values(), *_strays(folder)):
        if not process.kill():
            raise LabError(f"process {process.pid} does not end", remedy="run make lab-down again")
    shutil.rmtree(folder / "aws", ignore_errors=True)
    if (folder / "aws").exists():
        raise LabError(f"left behind: {folder / 'aws'}", remedy="run make lab-down again")


def _start(folder: Path, module: str, command: list[str]) -> None:
    """Start a lasting process, write it down, and wait until it says where it listens."""
    log = folder / "aws" / f"{module}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=_environment(folder),
            start_new_session=True,
        )
    recorded = _recorded(folder)
    if started := Process.of(process.pid):
        recorded[module] = started
    _write(folder, recorded)
    deadline = time.monotonic() + _PATIENCE_S
    while not _url(folder, module).exists():
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
            raise LabError(f"{module} did not start: {words or 'it said nothing'}")
        time.sleep(0.02)


def _environment(folder: Path) -> dict[str, str]:
    """Give a lasting process little, nothing of a user's own AWS settings, and the lab's mark."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return kept | nowhere | CREDENTIALS | {"AWS_DEFAULT_REGION": REGION, MARK: str(folder)}


def _strays(folder: Path) -> list[Process]:
    found = []
    for pid in marked(folder):
        with contextlib.suppress(OSError):
            line = (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if (_SERVER in line or _WEBHOOK in line) and (process := Process.of(pid)):
                found.append(process)
    return found


def _recorded(folder: Path) -> dict[str, Process]:
    try:
        told = json.loads((folder / "aws" / "record.json").read_text(encoding="utf-8"))
        if told.pop("boot") != boot_id():
            return {}
        return {name: Process(**each) for name, each in told.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(folder: Path, processes: dict[str, Process]) -> None:
    told = {name: {"pid": each.pid, "started": each.started} for name, each in processes.items()}
    aside = folder / "aws" / "record.new"
    aside.write_text(json.dumps(told | {"boot": boot_id()}), encoding="utf-8")
    aside.rename(folder / "aws" / "record.json")


def _kubeconfig(folder: Path) -> Path:
    """Return where the lab's Kubernetes leaves its access; read when somebody asks for a cluster."""
    named = os.environ.get("LAB_KUBERNETES")
    return Path(named).resolve() if named else folder / "kubernetes" / "kubeconfig"


def _webhook(folder: Path) -> Path:
    return folder / "aws" / "token-webhook.yaml"


def _url(folder: Path, module: str) -> Path:
    return folder / "aws" / f"{module}.url"


def _read(file: Path) -> str:
    return file.read_text(encoding="ascii").strip()
