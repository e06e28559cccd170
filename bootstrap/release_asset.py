"""Files of an official release: fetched over HTTPS, and kept only when the published SHA-256 fits."""

from __future__ import annotations

import hashlib
import queue
import threading
import urllib.request
from typing import TYPE_CHECKING

from bootstrap import BootstrapError
from bootstrap.console import say
from bootstrap.fetch import fetch, reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CONNECT_S = 8.0
_DIGITS = hashlib.sha256().digest_size * 2


def published_checksum(url: str, name: str) -> str:
    """Read the SHA-256 of the file `name` that a checksum file states; it may also state that one alone.

    Raises BootstrapError after eight seconds without an answer: the attempt runs in a thread because no timeout
    of the standard library covers looking a name up.
    """
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
        raise BootstrapError(f"{url}: no answer within {_CONNECT_S:.0f} s") from None
    if isinstance(found, OSError):
        raise BootstrapError(f"{url}: {reason(found)}")
    for line in found.splitlines():
        digest, _, named = line.strip().partition(" ")
        alone = not named and found.strip() == digest
        fits = alone or named.strip().lstrip("*").rpartition("/")[2] == name
        if len(digest) == _DIGITS and fits:
            return digest.lower()
    raise BootstrapError(f"{url}: names no SHA-256 of {name}")


def fetch_verified(bases: Sequence[str], name: str, expected: str, folder: Path) -> Path:
    """Fetch `name` from the first of the bases whose copy has the expected SHA-256; another is thrown away.

    Raises BootstrapError that says of each base what was wrong with it.
    """
    refused: list[str] = []
    for base in bases:
        try:
            whole = fetch(f"{base}/{name}", folder / name)
        except OSError as error:
            refused.append(f"{base}: {reason(error)}")
            continue
        with whole.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual == expected:
            say(f"  {name}: SHA-256 {actual[:16]}… is the published one")
            return whole
        whole.unlink()
        refused.append(f"{base}: SHA-256 is {actual}, published is {expected}; the file was thrown away")
    raise BootstrapError(" · ".join(refused))
