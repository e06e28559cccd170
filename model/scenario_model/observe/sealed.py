"""A file of kept text: one line that anybody may read, and texts that only the recipient's private key opens.

HPKE (RFC 9180): DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, with a key pair of its own for each file. The
line is bound to the texts: neither can be changed, or exchanged with another file's, without being noticed. The server
does not sign: whoever may write to its folder can add files of their own.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from scenario_model import config
from scenario_model.config import Section, Text
from scenario_model.errors import InputError, Refused
from scenario_model.signing.keys import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

FORMAT: Literal["scenario-model kept text 1"] = "scenario-model kept text 1"
_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MOST_HEADER = 4096


class Header(Section):
    """The line: what it is, and when it ends."""

    format: Literal["scenario-model kept text 1"] = FORMAT
    recipient: Text
    """SHA-256 of the recipient's public key in PEM form, hex."""
    release: Text
    """What was served."""
    start: float
    """The window's start, seconds since 1970."""
    until: float
    """When it expires."""
    asks: Text
    """What the detectors asked for at the window's end: nothing, warning or retraining."""

    @property
    def time(self) -> str:
        """The window's start, as people read it."""
        return datetime.fromtimestamp(self.start, UTC).isoformat(timespec="seconds")


class AnotherKey(Refused):
    """It was encrypted to somebody else."""


def lines(texts: Sequence[str]) -> list[bytes]:
    """Each text as it is encrypted, a line of JSON."""
    return [json.dumps(text, ensure_ascii=False).encode() + b"\n" for text in texts]


def sealed(header: Header, content: Sequence[bytes], recipient: ec.EllipticCurvePublicKey) -> bytes:
    """Return the file of `content`, which `lines` made."""
    line = json.dumps(config.dump(header), sort_keys=True).encode() + b"\n"
    return line + _SUITE.encrypt(b"".join(content), recipient, info=line)


def opened(path: Path, key: ec.EllipticCurvePrivateKey) -> tuple[Header, list[str]]:
    """Read a file. Raises InputError if it is none, AnotherKey, and Refused if it is torn or was altered."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    line = content[: content.find(b"\n", 0, _MOST_HEADER) + 1]
    header = _header(line, path)
    if header.recipient != fingerprint(key.public_key()):
        raise AnotherKey(
            "is not encrypted to this key",
            where=str(path),
            remedy=f"use the private key whose public half has the SHA-256 {header.recipient[:16]}…",
        )
    try:
        plain = _SUITE.decrypt(content[len(line) :], key, info=line)
    except InvalidTag:
        raise Refused("is torn, or was altered", where=str(path), remedy="remove it") from None
    # Split at line feeds alone: text may have other ends of lines, which JSON leaves as they are.
    return header, [json.loads(text) for text in plain.split(b"\n") if text]


def _header(line: bytes, path: Path) -> Header:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise InputError(
            "is no kept text, or of another version",
            where=str(path),
            remedy="remove it, or read it with the version that wrote it",
        )
    return config.load(Header, told, str(path))
