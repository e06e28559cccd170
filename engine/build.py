"""The engine from source: Go modules that go.sum pins, for machines that reach package registries only.

The CLI and the language host are two modules because the host left the SDK module long before this CLI:
one module cannot hold both versions of the SDK. `docs/decisions/0020-engine-bootstrap.md` says more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from engine import VERSION, EngineError
from engine.cache import keep, workspace
from engine.console import Progress, say
from engine.toolchain import go_command

_MODULES = Path(__file__).parent / "go"
_SDK = "github.com/pulumi/pulumi/sdk/v3"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    name: str
    module: Path
    package: str
    tags: str
    expected: str


# Build tags and linker flags are those of the official release.
_CLI = _Program(
    name="pulumi",
    module=_MODULES / "cli",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    tags="osusergo",
    expected="about 6 minutes the first time on two cores",
)
_HOST = _Program(
    name="pulumi-language-python",
    module=_MODULES / "host",
    package=f"{_SDK}/python/cmd/pulumi-language-python",
    tags="osusergo,grpcnotrace",
    expected="about half a minute the first time",
)
_SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")


def build() -> Path:
    """Return the folder of an engine compiled here. Raises EngineError naming what is missing.

    An interrupted build goes on from Go's own build cache, which keeps every finished package.
    """
    go = go_command(_CLI.module)
    environment = _environment(go)
    with workspace("build") as folder:
        made = folder / "bin"
        made.mkdir(exist_ok=True)
        for program in (_CLI, _HOST):
            _compile(program, made / program.name, environment)
        sdk = Path(_go(["list", "-m", "-f", "{{.Dir}}", _SDK], _CLI.module, environment).strip())
        for script in _SCRIPTS:
            target = made / Path(script).name
            target.unlink(missing_ok=True)
            shutil.copyfile(sdk / script, target)
            target.chmod(0o755)
        return keep(made, "build")


def _environment(go: Path) -> dict[str, str]:
    """Build what is pinned, verified, without a C compiler, and with the Go that was chosen.

    GOTOOLCHAIN=local keeps Go from quietly downloading another Go. The Go comes first on PATH.
    """
    unchecked = {"GOSUMDB", "GONOSUMDB", "GONOSUMCHECK", "GOINSECURE", "GOEXPERIMENT", "GOTOOLDIR", "GOROOT"}
    kept = {name: value for name, value in os.environ.items() if name not in unchecked}
    return kept | {
        "PATH": os.pathsep.join([str(go.parent), os.environ.get("PATH", os.defpath)]),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -trimpath",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _go(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a short go command and return its output; a failure ends in Go's own last words."""
    answer = subprocess.run(  # noqa: S603
        ["go", *arguments],  # noqa: S607 the Go on PATH is the one that is meant
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise _failed(f"go {arguments[0]}", answer.stderr.splitlines())
    return answer.stdout


def _compile(program: _Program, target: Path, environment: dict[str, str]) -> None:
    say(f"building {program.name} {VERSION} from Go modules: {program.expected}")
    tags = ["-tags", program.tags]
    progress = Progress(program.name)
    progress.update("fetching modules")
    listing = ["list", "-deps", *tags, "-f", "{{.ImportPath}}", program.package]
    total = len(_go(listing, program.module, environment).split())
    linker = f"-s -w -X {_SDK}/go/common/version.Version=v{VERSION}"
    command = ["go", "build", "-v", *tags, "-ldflags", linker, "-o", str(target), program.package]
    compiled: list[str] = []
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=program.module,
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
        raise _failed(f"building {program.name}", compiled)
    progress.done(f"{len(compiled)} packages compiled")


def _failed(what: str, words: list[str]) -> EngineError:
    told = [line.strip() for line in words if line.strip()]
    return EngineError(
        f"{what} failed: {' | '.join(told[-3:]) or 'without a word'}",
        remedy="a Go module proxy must be reachable (see `go env GOPROXY`); the next run goes on from here",
    )
