"""The official release: fetched over HTTPS, and unpacked only when its published checksum fits.

Source: <https://github.com/pulumi/pulumi/releases> publishes `pulumi-<version>-checksums.txt` (SHA-256).
The archive comes from another host than the checksum where both can be reached, so that neither alone
can slip in another program. No checksum is pinned here: none could be compared with the release itself.
"""

from __future__ import annotations

import hashlib
import os
import platform
import queue
import tarfile
import threading
import urllib.request
from typing import TYPE_CHECKING

from engine import PROGRAMS, VERSION, EngineError
from engine.cache import keep, workspace
from engine.console import say
from engine.fetch import CHUNK, fetch, reason

if TYPE_CHECKING:
    from pathlib import Path

_GITHUB = f"https://github.com/pulumi/pulumi/releases/download/v{VERSION}"
_PULUMI = "https://get.pulumi.com/releases/sdk"
_CONNECT_S = 8.0


def download() -> Path:
    """Return the folder of the official release, verified.

    Raises EngineError when it cannot be reached within 10 s, or when no copy fits its checksum.
    `ENGINE_MIRROR` names a folder of one's own that holds the archive and the checksum file.
    """
    archive = f"pulumi-v{VERSION}-{_platform()}.tar.gz"
    mirror = os.environ.get("ENGINE_MIRROR", "").rstrip("/")
    expected = _published_checksum(mirror or _GITHUB, archive)
    with workspace("download") as folder:
        refused: list[str] = []
        for base in [mirror] if mirror else [_PULUMI, _GITHUB]:
            try:
                whole = fetch(f"{base}/{archive}", folder / archive)
            except OSError as error:
                refused.append(f"{base}: {reason(error)}")
                continue
            actual = _sha256(whole)
            if actual == expected:
                say(f"  {archive}: SHA-256 {actual[:16]}… is the published one")
                return keep(_unpack(whole, folder / "bin"), "download")
            whole.unlink()
            refused.append(f"{base}: SHA-256 is {actual}, published is {expected}; the file was thrown away")
    raise EngineError(" · ".join(refused), remedy="try again, or set ENGINE_SOURCE=build")


def _platform() -> str:
    system, machine = platform.system().lower(), platform.machine().lower()
    names = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    if system not in {"linux", "darwin"} or machine not in names:
        raise EngineError(f"there is no official release for {system} on {machine}")
    return f"{system}-{names[machine]}"


def _published_checksum(base: str, archive: str) -> str:
    """Read the published SHA-256 of the archive; the whole attempt is over after eight seconds.

    It runs in a thread because no timeout of the standard library covers looking a name up.
    """
    url = f"{base}/pulumi-{VERSION}-checksums.txt"
    answers: queue.Queue[str | OSError] = queue.Queue()

    def read() -> None:
        try:
            with urllib.request.urlopen(url, timeout=_CONNECT_S) as answer:  # noqa: S310 https, or the user's mirror
                answers.put(answer.read(1 << 20).decode("utf-8", "replace"))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=read, daemon=True).start()
    try:
        found = answers.get(timeout=_CONNECT_S)
    except queue.Empty:
        raise EngineError(f"{url}: no answer within {_CONNECT_S:.0f} s") from None
    if isinstance(found, OSError):
        raise EngineError(f"{url}: {reason(found)}")
    for line in found.splitlines():
        digest, _, name = line.partition(" ")
        if name.strip().lstrip("*") == archive and len(digest) == hashlib.sha256().digest_size * 2:
            return digest.lower()
    raise EngineError(f"{url}: names no SHA-256 of {archive}")


def _unpack(archive: Path, folder: Path) -> Path:
    """Take the programs we need out of `pulumi/` in the archive; links and paths are never followed."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = member.name.removeprefix("pulumi/")
            if name in PROGRAMS and member.isfile() and (file := tar.extractfile(member)):
                with (folder / name).open("wb") as out:
                    while chunk := file.read(CHUNK):
                        out.write(chunk)
                (folder / name).chmod(0o755)
    if missing := [name for name in PROGRAMS if not (folder / name).is_file()]:
        raise EngineError(f"{archive.name} lacks {', '.join(missing)}", remedy="set ENGINE_SOURCE=build")
    return folder


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
