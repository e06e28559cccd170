"""Files of an official release: fetched over HTTPS, and kept only if they match the published SHA-256."""

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
    """Read the SHA-256 of `name` from a checksum file, which may also contain that one digest only.

    Raises BootstrapError after eight seconds without a response: the attempt runs in a thread because no
    timeout of the standard library covers DNS lookups.
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
    raise BootstrapError(f"{url}: contains no SHA-256 of {name}")


def fetch_verified(bases: Sequence[str], name: str, expected: str, folder: Path) -> Path:
    """Fetch `name` from the first base whose copy has the expected SHA-256; other copies are discarded.

    Raises BootstrapError with the reason for each base.
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
            say(f"  {name}: SHA-256 {actual[:16]}… matches the published one")
            return whole
        whole.unlink()
        refused.append(f"{base}: SHA-256 is {actual}, published is {expected}; file discarded")
    raise BootstrapError(" · ".join(refused))
