"""Starts and stops the AWS side of the lab: a moto server and the token webhook, with a record of both.

Standard library only. Both carry the lab's mark, so a teardown also finds processes that a killed start did
not record.
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
"""Seconds: it takes three of CPU time, which may be long on a loaded machine."""
_PROC = Path("/proc")
_FORK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """Location of the API: on this machine's loopback, or in a network of the lab."""

    within: tuple[str, ...] = ()
    """A command prefix for its programs, such as nsenter."""
    bind: str = "127.0.0.1"
    address: str = "127.0.0.1"
    """Its address from this machine."""
    port: int = 0
    """0: any free port."""
    webhook_port: int = 0


HERE = Place()


@dataclass(frozen=True, slots=True)
class Aws:
    """A running AWS API: its endpoint, and the token webhook for Kubernetes."""

    endpoint: str
    token_webhook: str
    """The webhook's URL for kube-apiserver, on the loopback of their common network."""
    kubeconfig: Path
    """Kubeconfig of the Kubernetes behind EKS clusters, read whenever one is described."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make boto3, the AWS CLI and Pulumi's provider use only the lab."""
        return CREDENTIALS | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def bring_up(folder: Path, place: Place = HERE) -> Aws:
    """Start missing processes, and wait for them; the caller holds the lab's lock.

    Raises LabError with the last output of what did not start; then nothing is left.
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
    """Wait until both have published their URLs. Raises LabError; then nothing is left of them."""
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        for module, process in recorded(folder).items():
            while not _url(folder, module).exists():
                if not process.alive or time.monotonic() > deadline:
                    log = _log(folder, module).read_text(encoding="utf-8", errors="replace")
                    raise LabError(f"{module} did not start: {log.strip()[-500:] or 'no output'}")
                time.sleep(0.02)
    except BaseException:
        take_down(folder)
        raise
    if there := running(folder):
        return there
    raise LabError("the AWS API is not up", remedy="make lab")


def running(folder: Path) -> Aws | None:
    """Return the running AWS API; None unless both of its processes are up."""
    there = recorded(folder)
    if all(
        name in there and there[name].alive and _url(folder, name).exists() for name in (_SERVER, _WEBHOOK)
    ):
        endpoint, webhook = (announced(_url(folder, name)) for name in (_SERVER, _WEBHOOK))
        return Aws(endpoint, webhook, _kubeconfig(folder))
    return None


def take_down(folder: Path) -> None:
    """Stop both and remove their files, whatever a killed run left. Raises LabError naming what remains."""
    # Again as long as there are some: what a killed run had just forked shows its mark a moment later.
    while found := [each for each in (*recorded(folder).values(), *_strays(folder)) if each.alive]:
        for process in found:
            if not process.kill():
                raise LabError(f"process {process.pid} does not exit", remedy="run make lab-down again")
            with contextlib.suppress(ChildProcessError):  # it may be a child of this run
                os.waitpid(process.pid, os.WNOHANG)
        time.sleep(_FORK_SECONDS)
    shutil.rmtree(folder / "aws", ignore_errors=True)
    if (folder / "aws").exists():
        raise LabError(f"left behind: {folder / 'aws'}", remedy="run make lab-down again")


def _start(folder: Path, module: str, command: list[str]) -> None:
    """Start a daemon and record it; if a kill prevents that, it is found by its mark."""
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
    process.returncode = 0  # it outlives this run, so it is not waited for
    # Without a start time it has already ended, and `finish` reports its last output.
    started = Process.of(process.pid) or Process(process.pid, 0)
    _write(folder, recorded(folder) | {module: started})


def _environment(folder: Path) -> dict[str, str]:
    """A daemon's minimal environment, without the user's AWS settings, with the lab's mark."""
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


def recorded(folder: Path) -> dict[str, Process]:
    """Its processes, by module; none if it is not up, or was before a boot."""
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
    """Return the path of the lab's kubeconfig; read when a cluster is described."""
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
