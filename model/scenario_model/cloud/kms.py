"""A signing key that never leaves AWS KMS: ECC_NIST_P256, used by ECDSA_SHA_256."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.cloud.client import aws_errors, client
from scenario_model.errors import InputError, Refused

if TYPE_CHECKING:
    from typing import Any

_MOST_RAW_BYTES = 4096
_ALGORITHM = "ECDSA_SHA_256"


class KmsKey:
    """The signing key `name` (ARN, id or alias). The role needs kms:GetPublicKey and kms:Sign."""

    def __init__(self, name: str) -> None:
        """Raises InputError if the key does not exist, cannot be used, or is of another type."""
        self._name, self._where = name, f"kms:{name}"
        self._client: Any = client("kms")
        with aws_errors(self._where):
            answer = self._client.get_public_key(KeyId=name)
        key = serialization.load_der_public_key(answer["PublicKey"])
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            remedy = "create one with KeySpec ECC_NIST_P256 and KeyUsage SIGN_VERIFY"
            raise InputError("is not a P-256 key", where=self._where, remedy=remedy)
        self._public = key

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign `data` (any length) by ECDSA with SHA-256. Raises Refused if the signature is invalid."""
        if not isinstance(signature_algorithm.algorithm, hashes.SHA256):
            raise InputError("signs with SHA-256 only", where=self._where)
        message, kind = data, "RAW"
        if len(data) > _MOST_RAW_BYTES:  # KMS hashes only shorter messages itself
            message, kind = hashlib.sha256(data).digest(), "DIGEST"
        with aws_errors(self._where):
            signature: bytes = self._client.sign(
                KeyId=self._name, Message=message, MessageType=kind, SigningAlgorithm=_ALGORITHM
            )["Signature"]
        try:
            self._public.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Refused("returned an invalid signature", where=self._where) from None
        return signature
