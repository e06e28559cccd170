"""A signed history: numbered entries in a store, each with the digest of the one before; it only ever grows.

Creating the next number if it is absent is the compare-and-swap: of two writers, one finds it taken.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chain:
    """The history in a folder of a store.

    `domain`: so that no other signature of the key is valid here. Each entry has `number` and `previous` besides its
    own fields.
    """

    store: Store
    folder: str
    domain: bytes

    def read(self, key: ec.EllipticCurvePublicKey) -> list[tuple[Fields, str]]:
        """All entries, the oldest first, each with the digest of its bytes. Raises Refused if it is not genuine."""
        found: list[tuple[Fields, str]] = []
        for number, child in enumerate(self.store.children(self.folder), start=1):
            where = f"{self.folder}/{child}"
            content = self.store.read(where) or b""
            entry = fields_of(content, key, self.domain, where)
            if (entry.get("number"), entry.get("previous")) != (number, found[-1][1] if found else ""):
                raise Refused("does not follow the entry before it", where=where)
            found.append((entry, hashlib.sha256(content).hexdigest()))
        return found

    def append(self, key: SigningKey, fields: Mapping[str, Any], after: int | None = None) -> None:
        """Write the next entry. Raises Refused if somebody else wrote one at the same time.

        `after`: the number of entries that whoever writes it has read, if it is decided by these.
        """
        chain = self.read(key.public_key())
        if after is not None and len(chain) != after:
            raise Refused("has an entry more than was read", where=self.folder, remedy="run it again")
        entry = {**fields, "number": len(chain) + 1, "previous": chain[-1][1] if chain else ""}
        where = f"{self.folder}/{entry['number']:06d}.json"
        if not self.store.create(where, signed(entry, key, self.domain)):
            raise Refused(
                "was written at the same time by another process", where=where, remedy="run it again"
            )


def signed(fields: Fields, key: SigningKey, domain: bytes) -> bytes:
    """Return an entry as it is stored. `domain`: so that its signature is not valid for anything else."""
    signature = key.sign(domain + _canonical(fields), ec.ECDSA(hashes.SHA256()))
    return _encode(fields, signature)


def fields_of(content: bytes, key: ec.EllipticCurvePublicKey | None, domain: bytes, where: str) -> Fields:
    """Return what `signed` was given. Raises Refused. Without a key, the signature is not checked."""
    try:
        parsed = json.loads(content)
        fields: Fields = parsed["entry"]
        signature = base64.b64decode(parsed["signature"], validate=True)
        # One encoding only, so that the chain covers every byte.
        spelled_right = isinstance(fields, dict) and _encode(fields, signature) == content
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        spelled_right = False
    if not spelled_right:
        raise Refused("not an entry in this version's format", where=where)
    try:
        if key is not None:
            key.verify(signature, domain + _canonical(fields), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("invalid signature: changed, or signed by another key", where=where) from None
    return fields


def _encode(fields: Fields, signature: bytes) -> bytes:
    return _canonical({"entry": fields, "signature": base64.b64encode(signature).decode()}) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
