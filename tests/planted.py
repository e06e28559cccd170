"""Planted secrets: every form in which one could have slipped into a file, a log, an output, an argument."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lab.processes import all_pids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def leaks(texts: Mapping[str, bytes], secrets: Iterable[str]) -> list[tuple[str, bytes]]:
    """Where a secret, or one long line of it, stands in any form: the place, and the form's beginning."""
    forms = {form for secret in secrets for part in _parts(secret) for form in forms_of(part)}
    return sorted((place, form[:8]) for place, text in texts.items() for form in forms if form in text)


def _parts(secret: str) -> list[str]:
    """A secret and each line of it that says much; what frames a PEM file says nothing."""
    return [secret, *(line for line in secret.splitlines() if len(line) > 40 and " " not in line)]


def forms_of(secret: str) -> list[bytes]:
    """A secret in plain, JSON, hex, and base64 at each of its three alignments."""
    raw = secret.encode()
    aligned = [base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4] for shift in range(3)]
    escaped = [json.dumps(secret)[1:-1].encode(), json.dumps(json.dumps(secret))[3:-3].encode()]
    return [raw, *escaped, raw.hex().encode(), *aligned]


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, for `leaks`."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Arguments:
    """The arguments of every process that this machine and the lab's hosts on it have, within a `with`.

    Looked at every few milliseconds; what lives shorter may be missed.
    """

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watching.join()

    def _watch(self) -> None:
        looks: dict[int, int] = {}
        while not self._over.wait(0.003):
            pids = all_pids()
            # A process gets its own arguments a moment after its number: it is looked at a few times.
            looks = {pid: looks.get(pid, 0) + 1 for pid in pids}
            for pid in (each for each in pids if looks[each] < 20 or looks[each] % 100 == 0):
                try:
                    self.seen.add(Path(f"/proc/{pid}/cmdline").read_bytes())
                except OSError:
                    continue
