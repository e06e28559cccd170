"""A lab server publishes its URL in a file, which exists once it answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def announce(file: Path, address: str, port: int) -> None:
    """Write the URL atomically."""
    aside = file.with_suffix(".new")
    aside.write_text(f"http://{address}:{port}\n", encoding="ascii")
    aside.rename(file)


def announced(file: Path) -> str:
    """Return the URL, waiting for it; the parent process ends this wait too."""
    while not file.exists():
        time.sleep(0.02)
    return file.read_text(encoding="ascii").strip()
