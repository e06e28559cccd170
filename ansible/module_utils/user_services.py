"""Services under systemd's system manager, a user's systemd manager, or, without either, supervisor.

All set the same two environment variables in their processes: SCENARIO_SERVICE, the path of the
definition, which identifies the processes, and SCENARIO_FINGERPRINT, the digest of their inputs.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ansible.module_utils.own_processes import Process, end, own_processes

# A supervisor restarts a crashed program within a second: only one that is gone for longer has stopped.
_RESTART_GAP_S = 3.0
# Variables that a service inherits. Never all: the caller's environment may contain a passphrase.
_INHERITED = ("HOME", "USER", "LOGNAME", "PATH", "LANG", "TZ", "TMPDIR")


class ServiceError(Exception):
    """A service manager failed; the message is for the user."""


class Service(Protocol):
    """What a role needs of a service, under any manager."""

    def running(self) -> bool:
        """Return whether the service runs or is about to be restarted by its manager."""

    def fingerprint(self) -> str:
        """Return the fingerprint of the running service; empty if unknown."""

    def start(self) -> None:
        """Start the service with its current definition; it must not be running."""

    def restart(self, timeout: float) -> None:
        """Stop the service within about `timeout` seconds, and start it with its current definition."""

    def stop(self, timeout: float) -> bool:
        """Stop the service and its leftovers within about `timeout` seconds; return whether there were any."""

    def log(self, lines: int) -> list[str]:
        """Return the last lines of the service's output."""

    @property
    def log_place(self) -> str:
        """Return where users find the full output."""

    def processes(self) -> set[int]:
        """Return the pid that the manager started, without its children; may be empty."""


def service(manager: str, definition: Path, python: str) -> Service:
    """Return the service of a definition; `python` runs supervisor and is unused under systemd."""
    if manager == "supervisor":
        return Supervised(definition, python)
    return Systemd(definition, "--user" if manager == "systemd" else "--system")


def _workers(definition: Path) -> list[Process]:
    return [p for p in own_processes() if p.environment.get("SCENARIO_SERVICE") == str(definition)]


def _started(definition: Path) -> set[int]:
    workers = _workers(definition)
    return {worker.pid for worker in workers if worker.parent not in {other.pid for other in workers}}


def _fingerprint(definition: Path) -> str:
    return next((p.environment.get("SCENARIO_FINGERPRINT", "") for p in _workers(definition)), "")


@dataclass(frozen=True, slots=True)
class Supervised:
    """A service with a dedicated supervisord: no socket, no shared state; signals and /proc suffice."""

    definition: Path
    python: str

    def running(self) -> bool:
        """Return whether supervisord and its program run; a restart in progress counts as running."""
        deadline = time.monotonic() + _RESTART_GAP_S
        while self._supervisors():
            if _workers(self.definition):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return False

    def fingerprint(self) -> str:
        """See `Service`."""
        return _fingerprint(self.definition)

    def start(self) -> None:
        """Start supervisord, which daemonizes and then starts the program."""
        self.stop(0)  # a supervisord whose program has exited, or a program whose supervisord was killed
        command = [self.python, "-m", "supervisor.supervisord", "-c", str(self.definition)]
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        done = _run(command, environment)
        if done.returncode:
            why = (done.stderr or done.stdout).strip()
            raise ServiceError(f"supervisord did not start with {self.definition}: {why}")

    def restart(self, timeout: float) -> None:
        """See `Service`."""
        self.stop(timeout)
        self.start()

    def stop(self, timeout: float) -> bool:
        """Stop supervisord, which stops its program, and then whatever remains of the program."""
        stopped = end(self._supervisors, timeout=timeout)
        return end(lambda: _workers(self.definition), timeout=timeout) or stopped

    def processes(self) -> set[int]:
        """See `Service`."""
        return _started(self.definition)

    @property
    def log_place(self) -> str:
        """See `Service`."""
        return str(self._log)

    @property
    def _log(self) -> Path:
        return self.definition.parent / "logs" / f"{self.definition.stem}.log"

    def log(self, lines: int) -> list[str]:
        """Return the end of the program's log file."""
        path = self._log
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 1000 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]

    def _supervisors(self) -> list[Process]:
        marks = {"supervisor.supervisord", str(self.definition)}
        return [p for p in own_processes() if marks <= set(p.command)]


@dataclass(frozen=True, slots=True)
class Systemd:
    """A unit; the definition is its file, linked into the manager when it is enabled."""

    definition: Path
    scope: str
    """The manager: `--user` or `--system`."""

    def running(self) -> bool:
        """Return whether the unit is active or being restarted."""
        state = self._systemctl("is-active", self.definition.name, ok=(0, 3, 4))
        return state in {"active", "activating", "reloading"}

    def fingerprint(self) -> str:
        """See `Service`."""
        return _fingerprint(self.definition)

    def start(self) -> None:
        """Enable the unit, so that it starts after a reboot, and start it."""
        self._prepare()
        self._systemctl("start", self.definition.name)

    def restart(self, timeout: float) -> None:
        """One job of systemd, so that it keeps what it stores for the unit."""
        if not self.running():
            self.stop(timeout)
            self.start()
            return
        # What is stopped has its former time for it, which the new definition may shorten.
        former = self._systemctl("show", "--property=TimeoutStopUSec", "--value", self.definition.name)
        aside = self._runtime_folder / f"{self.definition.name}.d"
        aside.mkdir(parents=True, exist_ok=True)
        (aside / "former.conf").write_text(f"[Service]\nTimeoutStopSec={former}\n")
        try:
            self._prepare()
            self._systemctl("restart", self.definition.name)
        finally:
            shutil.rmtree(aside)
            self._systemctl("daemon-reload")

    def _prepare(self) -> None:
        self._systemctl("enable", str(self.definition))
        self._systemctl("daemon-reload")
        self._systemctl("reset-failed", self.definition.name, ok=(0, 1))

    def stop(self, timeout: float) -> bool:
        """Stop and disable the unit; systemd itself kills what exceeds its TimeoutStopSec."""
        was_running = self.running()
        # Two steps: with the link removed, a unit that has just exited by itself would be unknown to systemd.
        self._systemctl("stop", self.definition.name, ok=(0, 5))
        self._systemctl("disable", self.definition.name, ok=(0, 1))
        self._systemctl("daemon-reload")
        return end(lambda: _workers(self.definition), timeout=timeout) or was_running

    @property
    def _runtime_folder(self) -> Path:
        """Where systemd looks for what lasts until the next boot at most."""
        if self.scope == "--system":
            return Path("/run/systemd/system")
        return Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"), "systemd", "user")

    def processes(self) -> set[int]:
        """See `Service`."""
        return _started(self.definition)

    @property
    def log_place(self) -> str:
        """See `Service`."""
        return f"journalctl {self.scope} --unit {self.definition.name}"

    def log(self, lines: int) -> list[str]:
        """Return the end of the unit's journal."""
        unit = ["--unit", self.definition.name, "--lines", str(lines)]
        return _run(["journalctl", self.scope, *unit, "--output", "cat", "--no-pager"]).stdout.splitlines()

    def _systemctl(self, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
        command = ["systemctl", self.scope, *arguments]
        done = _run(command)
        if done.returncode not in ok:
            raise ServiceError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout.strip()


def lingers() -> bool:
    """Return whether this user's services outlive the last session, and start at boot."""
    return _run(["loginctl", "show-user", _user(), "--property", "Linger", "--value"]).stdout.strip() == "yes"


def let_linger() -> None:
    """Let this user's services outlive the last session. Raises ServiceError if not permitted."""
    command = ["loginctl", "enable-linger", _user()]
    done = _run(command)
    if done.returncode:
        raise ServiceError(
            f"services would stop with the session of {_user()}; ask an administrator to run "
            f"`{' '.join(command)}` ({done.stderr.strip()})"
        )


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    if environment is None:
        # Over SSH without a login session the variable may be missing although the manager is running.
        environment = {"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}", **os.environ}
    return subprocess.run(  # noqa: S603 - our own arguments, and no shell
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
