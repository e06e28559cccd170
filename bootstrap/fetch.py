"""Downloads one file over HTTP, resuming an interrupted download. The caller verifies the content."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from bootstrap.console import Progress

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 20
_STALL_S = 30.0


def fetch(url: str, target: Path) -> Path:
    """Fetch into `target.part`, resuming an interrupted download, and rename at the end.

    Raises OSError if the server refuses, is silent for 30 s, or closes the connection early.
    """
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    progress = Progress(f"downloading {url}", interval_s=10)
    try:
        answer = urllib.request.urlopen(request, timeout=_STALL_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if not have:
            raise error from None
        part.unlink()  # 416 and the like: cannot resume, so start over
        return fetch(url, target)
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        total = file.tell() + int(answer.headers.get("Content-Length") or 0)
        try:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                progress.update(f"{file.tell() / 1e6:.0f} of {total / 1e6:.0f} MB")
        except http.client.HTTPException:  # newer Pythons detect a short response themselves
            pass
        if file.tell() < total:
            raise ConnectionError(f"connection closed after {file.tell()} of {total} bytes")
    progress.done(f"{part.stat().st_size / 1e6:.0f} MB")
    return part.rename(target)


def reason(error: OSError) -> str:
    """Return a short reason; a URLError has it in an attribute, where an HTTPError has less."""
    hidden = getattr(error, "reason", None)
    return str(hidden) if isinstance(hidden, OSError) else str(error)
