"""The Go to build with: the one on PATH if it is new enough, else the official one, as a Go module.

Go itself is a module (`golang.org/toolchain`), which the `go` command fetches if GOTOOLCHAIN allows it. We do
the same on machines without Go, log it, and check the same hash. The hashes are those of the public checksum
database, sum.golang.org. Format of the hash, h1: <https://pkg.go.dev/golang.org/x/mod/sumdb/dirhash#Hash1>.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from bootstrap import BootstrapError
from bootstrap.cache import cache_folder
from bootstrap.console import say
from bootstrap.fetch import fetch, reason
from bootstrap.versions import version_of

_RELEASE = "go1.26.8"
_HASHES = {
    "amd64": "h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=",
    "arm64": "h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=",
}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def go_command(module: Path) -> Path:
    """Return a `go` that can build the module, fetching one (70 MB) if needed.

    Raises BootstrapError if neither is available.
    """
    needed = _needed_by(module)
    found = shutil.which("go")
    if found:
        asked = subprocess.run(  # noqa: S603 run outside the module: inside it, an old Go only fails
            [found, "env", "GOVERSION"], cwd="/", capture_output=True, text=True, check=False
        )
        release = version_of(asked.stdout.strip().removeprefix("go").split("rc")[0])
        if release and release >= needed:
            return Path(found)
        say(f"{found} is {asked.stdout.strip() or 'no Go'}, too old; {_dotted(needed)} is required")
    return _fetched(needed)


def _needed_by(module: Path) -> tuple[int, ...]:
    stated = re.search(r"^go ([0-9.]+)$", (module / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    return tuple(map(int, stated[1].split("."))) if stated else ()


def _dotted(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))


def _fetched(needed: tuple[int, ...]) -> Path:
    machine = _MACHINES.get(platform.machine().lower(), "")
    remedy = f"install Go {_dotted(needed)} or newer (https://go.dev/dl), or the program itself"
    if platform.system() != "Linux" or machine not in _HASHES:
        raise BootstrapError(f"building needs Go {_dotted(needed)} or newer on PATH", remedy=remedy)
    target = cache_folder() / "go" / _RELEASE
    command = target / "bin" / "go"
    if command.exists():
        return command
    name = f"v0.0.1-{_RELEASE}.linux-{machine}"
    aside = target.with_name(f"{_RELEASE}.unfinished")
    aside.mkdir(parents=True, exist_ok=True)
    say(f"no Go {_dotted(needed)} found: fetching {_RELEASE} from the Go module proxy, 72 MB")
    refused = []
    for proxy in _proxies():
        try:
            archive = fetch(f"{proxy}/golang.org/toolchain/@v/{name}.zip", aside / f"{name}.zip")
        except OSError as error:
            refused.append(f"{proxy}: {reason(error)}")
            continue
        if _hash1(archive) != _HASHES[machine]:
            archive.unlink()
            refused.append(f"{proxy}: {name} does not match the checksum database; discarded")
            continue
        _unpack(archive, f"golang.org/toolchain@{name}/", aside / "go").rename(target)
        shutil.rmtree(aside)
        return command
    raise BootstrapError(f"no Go available: {' · '.join(refused) or 'GOPROXY names no proxy'}", remedy=remedy)


def _proxies() -> list[str]:
    """Read GOPROXY as the go command does, but without a default: fetching Go itself is opt-in."""
    named = re.split(r"[,|]", os.environ.get("GOPROXY", ""))
    return [each.strip().rstrip("/") for each in named if each.strip().startswith(("https://", "http://"))]


def _hash1(archive: Path) -> str:
    """Compute the checksum database's hash of a module: SHA-256 over the sorted SHA-256 sums of its files."""
    total = hashlib.sha256()
    try:
        with zipfile.ZipFile(archive) as files:
            for name in sorted(files.namelist()):
                total.update(f"{hashlib.sha256(files.read(name)).hexdigest()}  {name}\n".encode())
    except (zipfile.BadZipFile, OSError, EOFError):
        return ""
    return f"h1:{base64.b64encode(total.digest()).decode()}"


def _unpack(archive: Path, prefix: str, folder: Path) -> Path:
    """Unpack the toolchain as the go command does: programs executable, `_go.mod` named `go.mod` again."""
    shutil.rmtree(folder, ignore_errors=True)
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            inside = Path(name.removeprefix(prefix))
            target = folder / inside.with_name("go.mod") if inside.name == "_go.mod" else folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files.read(name))
            if inside.parts[0] == "bin" or inside.parts[:2] == ("pkg", "tool"):
                target.chmod(0o755)
    return folder
