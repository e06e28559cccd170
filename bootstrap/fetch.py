"""One file over HTTP, going on where an interrupted run stopped. What arrives is for the caller to verify."""

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
    """Fetch into `target.part`, going on where an interrupted run stopped, and rename at the end.

    Raises OSError when the server refuses, falls silent for 30 s, or breaks off.
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
        part.unlink()  # 416 and the like: the rest cannot be had, so all of it is fetched anew
        return fetch(url, target)
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        total = file.tell() + int(answer.headers.get("Content-Length") or 0)
        try:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                progress.update(f"{file.tell() / 1e6:.0f} of {total / 1e6:.0f} MB")
        except http.client.HTTPException:  # newer Pythons notice a short answer themselves
            pass
        if file.tell() < total:
            raise ConnectionError(f"broke off after {file.tell()} of {total} bytes")
    progress.done(f"{part.stat().st_size / 1e6:.0f} MB")
    return part.rename(target)


def reason(error: OSError) -> str:
    """Say why in a few words; a URLError hides them in an attribute, where an HTTPError has fewer."""
    hidden = getattr(error, "reason", None)
    return str(hidden) if isinstance(hidden, OSError) else str(error)
