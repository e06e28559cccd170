"""Docker, Podman or Buildah, whichever is there: it builds, copies and pushes; a token is in no argument and no file of
the user's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap.console import detail
from images import ImagesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOOLS = ("docker", "podman", "buildah")
_PLATFORM = "linux/amd64"
"""The training nodes', whatever this machine is."""
_LINKED = ("buildx", "cli-plugins", "contexts")
"""What Docker needs of its own folder, besides accounts."""
_KEEPERS = ("credsStore", "credHelpers")
"""Where Docker's configuration says that accounts are kept: they would keep this one, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program that builds images, with an account of its own for registries.

    Attributes:
        program: its path.
        environment: where it looks for its account, which ends with it.

    """

    program: str
    environment: Mapping[str, str]

    def login(self, registry: str, user: str, token: str) -> None:
        """Sign in to a registry. Raises ImagesError."""
        self._run("login", "--username", user, "--password-stdin", registry, told=token)

    def build(self, context: Path, file: Path, image: str, arguments: Mapping[str, str]) -> None:
        """Build an image. Raises ImagesError."""
        given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        self._run("build", "--platform", _PLATFORM, "--file", str(file), "--tag", image, *given, str(context))

    def push(self, image: str) -> None:
        """Push an image. Raises ImagesError."""
        self._run("push", image)

    def copy(self, image: str, to: str, architecture: str) -> None:
        """Copy an image for one architecture from one registry to another. Raises ImagesError."""
        self._run("pull", "--platform", f"linux/{architecture}", image)
        self._run("tag", image, to)
        self.push(to)

    def _run(self, *arguments: str, told: str | None = None) -> None:
        command = [self.program, *arguments]
        detail(f"running {' '.join(command)}")
        # What it says goes to the user as it is: building takes minutes.
        done = subprocess.run(  # noqa: S603
            command,
            input=told,
            stdin=None if told else subprocess.DEVNULL,
            stdout=2,
            env=dict(self.environment),
            text=True,
            check=False,
        )
        if done.returncode:
            raise ImagesError(f"`{Path(self.program).name} {arguments[0]}` failed; see its output above")


@contextmanager
def found(path: str | None = None) -> Iterator[Tool]:
    """Yield the first of `TOOLS` that works on this machine, signed in nowhere but where it was before.

    Raises:
        ImagesError: there is none.

    """
    programs = [program for name in TOOLS if (program := shutil.which(name, path=path))]
    working = next((each for each in programs if _works(each)), None)
    if working is None:
        there = (
            f"{' and '.join(Path(each).name for each in programs)} cannot be used"
            if programs
            else "there is none"
        )
        message = (
            f"building images needs docker (with its daemon), podman or buildah, and {there} on this machine; install "
            "one, or push the image from a machine that has one"
        )
        raise ImagesError(message)
    with tempfile.TemporaryDirectory() as folder:
        docker, account = Path(folder) / "docker", Path(folder) / "auth.json"
        _take_docker(Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"), docker)
        _take_account(account)
        told = {"DOCKER_CONFIG": str(docker), "REGISTRY_AUTH_FILE": str(account)}
        yield Tool(program=working, environment={**os.environ, **told})


def _take_docker(home: Path, into: Path) -> None:
    """Make a folder as Docker has one, with its builders, and accounts that are in its file."""
    into.mkdir()
    for name in _LINKED:
        if (home / name).exists():
            (into / name).symlink_to(home / name)
    try:
        config = json.loads((home / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    kept = {name: value for name, value in config.items() if name not in _KEEPERS}
    _write(into / "config.json", json.dumps(kept))


def _take_account(into: Path) -> None:
    """Copy the accounts that Podman and Buildah have, if they have some."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    named = os.environ.get("REGISTRY_AUTH_FILE")
    files = (
        [Path(named)]
        if named
        else [Path(runtime, "containers", "auth.json"), Path(f"/run/containers/{os.getuid()}/auth.json")]
    )
    there = next((each for each in files if each.is_file()), None)
    if there:
        _write(into, there.read_text(encoding="utf-8"))


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def _works(program: str) -> bool:
    """Whether a program answers: Docker without its daemon does not."""
    done = subprocess.run([program, "info"], stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0
