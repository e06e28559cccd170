"""What crosses, as both sides write it into their audit logs: by the same functions, so that the two can be compared.

A crossing that was cut short has what was received, or handed to the network: there the two sides may differ.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from scenario_model.exchange.contract import Crossing, Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scenario_model.exchange.inbox import Reports

_ASSIGNMENTS = ("catalogue/targets/rings/", "catalogue/targets/sites/")


def of_file(at: float, peer: str, path: str, size: int, sha256: str) -> Crossing:
    """A file of the catalogue, or a part of it, that went down."""
    return Crossing(at, "down", _kind_of(path), size, peer, sha256)


def of_reports(at: float, peer: str, reports: Reports) -> list[Crossing]:
    """A batch of reports that went up: one crossing for each kind in it. The digest is that of their lines."""
    by_kind: dict[str, list[bytes]] = {}
    for _, content in reports:
        by_kind.setdefault(json.loads(content)["kind"], []).append(content)
    return [
        Crossing(at, "up", kind, sum(map(len, contents)), peer, _digest(b"\n".join(contents)))
        for kind, contents in sorted(by_kind.items())
    ]


def of_certificate(at: float, peer: str, direction: Direction, pem: str) -> Crossing:
    """A request for a certificate that went up, or a certificate that went down."""
    return Crossing(at, direction, "certificate", len(pem.encode()), peer, _digest(pem.encode()))


class Hashed:
    """Pieces on their way, with the number of bytes so far and their SHA-256."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._digest, self.bytes = pieces, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._digest.update(piece)
            self.bytes += len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        """Of the bytes so far, in hex."""
        return self._digest.hexdigest()


def _kind_of(path: str) -> str:
    if path.startswith(_ASSIGNMENTS):
        return "assignment"
    return "release" if path.startswith("releases/") else "metadata"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
