"""A job's state in the bucket for its next attempt, signed: write access there must not be enough to steer a
release."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.errors import Refused

if TYPE_CHECKING:
    from scenario_model.signing.keys import SigningKey

# Domain separation: such a signature is not valid for anything else that this key signs.
_DOMAIN = b"scenario-model job v1\n"
_SIGNATURE = "signature"


def sign_json(key: SigningKey, place: str, content: dict[str, Any]) -> bytes:
    """A JSON object with its signature, which also covers `place`: the object's key in the bucket."""
    signature = key.sign(_said(place, content), ec.ECDSA(hashes.SHA256()))
    return json.dumps({**content, _SIGNATURE: base64.b64encode(signature).decode()}).encode()


def verify_json(key: ec.EllipticCurvePublicKey, place: str, sealed: bytes, where: str) -> dict[str, Any]:
    """The JSON object without its signature. Raises Refused if `key` did not sign it for `place`."""
    try:
        content: dict[str, Any] = json.loads(sealed)
        signature = base64.b64decode(content.pop(_SIGNATURE), validate=True)
        key.verify(signature, _said(place, content), ec.ECDSA(hashes.SHA256()))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        binascii.Error,
        InvalidSignature,
    ):
        raise Refused("was not written by this job, or signed with another key", where=where) from None
    return content


def _said(place: str, content: dict[str, Any]) -> bytes:
    said = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _DOMAIN + place.encode() + b"\n" + said.encode()
