"""The only caller of ansible-runner: reads one request from stdin, streams events as JSON lines on stdout.

Stops Ansible when standard input closes. Whatever ansible-runner writes to disk, variables included, is in a
private folder, in memory if possible, and is removed at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ansible_runner

from components.processes import abandoned, end_descendants

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "scenario-premises-"


def main() -> None:
    """Read one request and run it."""
    order = json.loads(sys.stdin.buffer.readline())
    with _only_one(order["inventory"]), _private_folder() as folder:
        ansible_runner.run(
            private_data_dir=str(folder),
            project_dir=str(Path(order["playbook"]).parent),
            playbook=order["playbook"],
            inventory=order["inventory"],
            extravars=order["variables"],
            settings={"pexpect_timeout": 1},
            cmdline="--check --diff" if order["check"] else None,
            quiet=True,
            event_handler=_tell,
            cancel_callback=_give_up,
        )


def _give_up() -> bool:
    """Whether to stop; then no process of Ansible is left running."""
    if abandoned():
        end_descendants()
        return True
    return False


def _tell(event: dict[str, Any]) -> bool:
    """Forward an event, and keep ansible-runner from writing it to a file."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(event), flush=True)
    return False


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a folder of mode 0700; remove it afterwards, and those that killed runs left."""
    candidates = (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm")  # noqa: S108 - mkdtemp makes it private
    parent = next(
        (place for place in candidates if place and os.access(place, os.W_OK)), tempfile.gettempdir()
    )
    for left in Path(parent).glob(f"{_PREFIX}*-*"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if left.lstat().st_uid == os.getuid() and owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _only_one(inventory: str) -> Iterator[None]:
    """Hold an inventory's lock, so that a killed update's last moments do not collide with the next one."""
    key = hashlib.sha256(f"{os.getuid()} {Path(inventory).resolve()}".encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"{_PREFIX}{key}.lock"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        telling = threading.Timer(
            10, _say, ["another playbook is running on these hosts; waiting for its lock"]
        )
        telling.start()
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        telling.cancel()
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
