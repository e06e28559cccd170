"""Our signing keys, in files or in KMS, as TUF's library wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import Key, SecretsHandler, Signature, Signer, SSlibKey

from scenario_model.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.signing.keys import SigningKey


class CatalogueSigner(Signer):
    """Signs metadata with a key of `signing.keys`: ECDSA on P-256 with SHA-256."""

    def __init__(self, key: SigningKey) -> None:
        self._key, self._public = key, public_key(key.public_key())

    @property
    def public_key(self) -> Key:
        """The public half."""
        return self._public

    def sign(self, payload: bytes) -> Signature:
        """See `Signer`."""
        return Signature(self._public.keyid, self._key.sign(payload, ec.ECDSA(hashes.SHA256())).hex())

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> CatalogueSigner:
        """The signer of the key at a place that `signing.keys` knows; it needs no secrets."""
        del public_key, secrets_handler
        return cls(keys.signing_key(priv_key_uri))


def public_key(key: ec.EllipticCurvePublicKey) -> Key:
    """Return a public key as TUF's metadata has it."""
    return SSlibKey.from_crypto(key)


def signer(where: str) -> CatalogueSigner:
    """The signer with the private key at `where`: a PEM file, or `kms:…`. Raises InputError."""
    return CatalogueSigner(keys.signing_key(where))


def public_keys(paths: tuple[Path, ...]) -> list[Key]:
    """The public keys in PEM files. Raises InputError."""
    return [public_key(keys.load_public(path)) for path in paths]
