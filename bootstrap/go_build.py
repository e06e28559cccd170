"""Programs from source: our Go module names them, its go.sum pins them, Go verifies and compiles."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap import BootstrapError
from bootstrap.console import Progress, detail, say
from bootstrap.go_toolchain import go_command

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One of our Go modules; the `tool` lines of its go.mod are the main packages to compile."""

    folder: Path
    title: str
    """Name and version, for the user."""
    programs: tuple[str, ...]
    """The executables, as Go names them; a single one may have any name."""
    expected: str
    """Expected duration, for the user."""
    tags: str = ""
    linked: tuple[str, ...] = ()
    """`package.variable=value`, set by the linker."""
    embedded: Mapping[str, Path] = field(default_factory=dict)
    """Files that the build sees in the folder, and their real paths."""
    cgo: bool = False
    """Whether it needs a C compiler."""


def compile_module(module: Module, into: Path) -> None:
    """Compile the module's programs into a folder; an interrupted run resumes from Go's build cache.

    Raises BootstrapError if Go is missing, a module is not the pinned one, or compiling fails.
    """
    environment = go_environment(go_command(module.folder)) | {"CGO_ENABLED": str(int(module.cgo))}
    say(f"building {module.title} from Go modules: {module.expected}")
    target = into / module.programs[0] if len(module.programs) == 1 else into
    linker = " ".join(["-s -w", *(f"-X {each}" for each in module.linked)])
    with tempfile.TemporaryDirectory() as aside:
        overlay = Path(aside) / "overlay.json"
        files = {str(module.folder / name): str(path) for name, path in module.embedded.items()}
        overlay.write_text(json.dumps({"Replace": files}), encoding="utf-8")
        options = ["-overlay", str(overlay), "-tags", module.tags]
        progress = Progress(module.title)
        progress.update("fetching modules")
        listing = ["list", "-deps", *options, "-f", "{{.ImportPath}}", "tool"]
        total = len(_go(listing, module.folder, environment).split())
        command = ["build", "-v", *options, "-ldflags", linker, "-o", f"{target}", "tool"]
        compiled = _watched(command, module, environment, progress, total)
    if missing := [name for name in module.programs if not (into / name).is_file()]:
        raise BootstrapError(f"building {module.title} did not produce {', '.join(missing)}")
    progress.done(f"{compiled} packages compiled")


def source_of(dependency: str, folder: Path) -> Path:
    """Return where Go keeps the source of a module required by ours in the folder, fetched if needed."""
    environment = go_environment(go_command(folder))
    return Path(json.loads(_go(["mod", "download", "-json", dependency], folder, environment))["Dir"])


def go_environment(go: Path) -> dict[str, str]:
    """Environment to build pinned, verified modules without a C compiler and with the chosen Go.

    GOTOOLCHAIN=local keeps Go from silently downloading another Go; the chosen Go comes first on PATH.
    `-buildvcs=false`: the enclosing git repository must not affect the programs.
    """
    unchecked = {"GOSUMDB", "GONOSUMDB", "GONOSUMCHECK", "GOINSECURE", "GOEXPERIMENT", "GOTOOLDIR", "GOROOT"}
    kept = {name: value for name, value in os.environ.items() if name not in unchecked}
    return kept | {
        "PATH": os.pathsep.join([str(go.parent), os.environ.get("PATH", os.defpath)]),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _go(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a short go command and return its output; an error ends with Go's last lines."""
    answer = subprocess.run(  # noqa: S603
        _command(arguments),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise _failed(f"go {arguments[0]}", answer.stderr.splitlines())
    return answer.stdout


def _watched(
    arguments: list[str], module: Module, environment: dict[str, str], progress: Progress, total: int
) -> int:
    """Run `go build -v`, which prints each package it compiles; return their number."""
    compiled: list[str] = []
    with subprocess.Popen(  # noqa: S603
        _command(arguments),
        cwd=module.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        reader = threading.Thread(target=compiled.extend, args=(process.stderr or (),), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                progress.update(f"{len(compiled)} packages compiled, {total} at most")
                reader.join(timeout=0.5)
        except BaseException:
            process.terminate()
            raise
        reader.join()
    if process.returncode:
        raise _failed(f"building {module.title}", compiled)
    return len(compiled)


def _command(arguments: list[str]) -> list[str]:
    """Start the Go on PATH. On Linux it ends with us, even if we are killed."""
    detail(f"running {shlex.join(['go', *arguments])}")
    with_us = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    return [*with_us, "go", *arguments]


def _failed(what: str, words: list[str]) -> BootstrapError:
    told = [line.strip() for line in words if line.strip()]
    return BootstrapError(
        f"{what} failed: {' | '.join(told[-3:]) or 'no output'}",
        remedy="make a Go module proxy reachable (see `go env GOPROXY`) and run it again; it resumes from here",
    )
