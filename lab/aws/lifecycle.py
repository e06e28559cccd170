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
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import LabError
from lab.aws import CREDENTIALS, REGION
from lab.aws.environment import ROOT, python
from lab.aws.listening import announced
from lab.aws.plugin import write_stand_in
from lab.processes import MARK, Process, boot_id, marked

_SERVER, _WEBHOOK = "lab.aws.server", "lab.aws.token_webhook"
_TIMEOUT_S = 240.0
"""Seconds: it takes three of a processor, which a loaded machine may not give soon."""
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the API is: on this machine's loopback, or in a network of the lab."""

    within: tuple[str, ...] = ()
    """A command to start its programs through, such as nsenter."""
    bind: str = "127.0.0.1"
    address: str = "127.0.0.1"
    """The address by which this machine reaches it."""
    port: int = 0
    """0: one that is free."""
    webhook_port: int = 0


HERE = Place()


@dataclass(frozen=True, slots=True)
class Aws:
    """An AWS API that is up: where it listens, and where Kubernetes asks whose a token is."""

    endpoint: str
    token_webhook: str
    """Where kube-apiserver asks, on the loopback of the network that both are in."""
    kubeconfig: Path
    """Where EKS looks for the Kubernetes behind its clusters, each time that one is described."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3, the AWS CLI and Pulumi's provider speak to the lab alone."""
        return CREDENTIALS | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def bring_up(folder: Path, place: Place = HERE) -> Aws:
    """Start what is not up yet in its place, and wait for it; the caller holds the lab's lock.

    Raises LabError with the last words of what did not start; then nothing is left.
    """
    if (there := running(folder)) and _place(folder) == place:
        return there
    take_down(folder)
    write_stand_in(folder)
    _place_file(folder).write_text(json.dumps(asdict(place)), encoding="utf-8")
    server = ["--bind", place.bind, "--address", place.address, "--port", str(place.port)]
    server += ["--kubeconfig", str(_kubeconfig(folder))]
    webhook = ["--port", str(place.webhook_port), "--endpoint-file", str(_url(folder, _SERVER))]
    interpreter = str(python())
    for module, told in ((_SERVER, server), (_WEBHOOK, webhook)):
        where = ["--url-file", str(_url(folder, module))]
        _start(folder, module, [*place.within, interpreter, "-m", module, *where, *told])
    return _finish(folder)


def _finish(folder: Path) -> Aws:
    """Wait until both say where they listen. Raises LabError; then nothing is left of them."""
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        for module, process in _recorded(folder).items():
            while not _url(folder, module).exists():
                if not process.alive or time.monotonic() > deadline:
                    log = _log(folder, module).read_text(encoding="utf-8", errors="replace")
                    raise LabError(f"{module} did not start: {log.strip()[-500:] or 'it said nothing'}")
                time.sleep(0.02)
    except BaseException:
        take_down(folder)
        raise
    if there := running(folder):
        return there
    raise LabError("the AWS API is not up", remedy="make lab")


def running(folder: Path) -> Aws | None:
    """Return the AWS API that is up; None unless both of its processes are."""
    recorded = _recorded(folder)
    if all(
        name in recorded and recorded[name].alive and _url(folder, name).exists()
        for name in (_SERVER, _WEBHOOK)
    ):
        endpoint, webhook = (announced(_url(folder, name)) for name in (_SERVER, _WEBHOOK))
        return Aws(endpoint, webhook, _kubeconfig(folder))
    return None


def take_down(folder: Path) -> None:
    """End both and remove their files, whatever a killed run left. Raises LabError naming what stays."""
    for process in (*_recorded(folder).values(), *_strays(folder)):
        if not process.kill():
            raise LabError(f"process {process.pid} does not end", remedy="run make lab-down again")
        with contextlib.suppress(ChildProcessError):  # it may be a child of this very run
            os.waitpid(process.pid, os.WNOHANG)
    shutil.rmtree(folder / "aws", ignore_errors=True)
    if (folder / "aws").exists():
        raise LabError(f"left behind: {folder / 'aws'}", remedy="run make lab-down again")


def _start(folder: Path, module: str, command: list[str]) -> None:
    """Start a lasting process and write it down; one that a kill kept from that is found by its mark."""
    with _log(folder, module).open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env=_environment(folder),
            start_new_session=True,
        )
    process.returncode = 0  # it outlives this run, so that nobody waits for it here
    # Without a start time it has ended already, and `finish` tells its last words.
    started = Process.of(process.pid) or Process(process.pid, 0)
    _write(folder, _recorded(folder) | {module: started})


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


def _place(folder: Path) -> Place | None:
    try:
        told = json.loads(_place_file(folder).read_text(encoding="utf-8"))
        return Place(**told | {"within": tuple(told["within"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _place_file(folder: Path) -> Path:
    return folder / "aws" / "place.json"


def _url(folder: Path, module: str) -> Path:
    return folder / "aws" / f"{module}.url"


def _log(folder: Path, module: str) -> Path:
    return folder / "aws" / f"{module}.log"
