"""The signing key pair: ECDSA on the curve P-256 (FIPS 186-5), in PEM files or in KMS."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.errors import InputError

_MAX_BYTES = 16 * 1024
KMS = "kms:"


class SigningKey(Protocol):
    """A private ECDSA P-256 key, in a file (an `ec.EllipticCurvePrivateKey`) or in KMS."""

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm, /) -> bytes:
        """The DER signature of `data`."""


def signing_key(where: str) -> SigningKey:
    """The key at `where`: `kms:` with an ARN, id or alias, or a PEM file. Raises InputError."""
    if not where.startswith(KMS):
        return load_private(Path(where))
    from scenario_model.cloud.kms import KmsKey

    return KmsKey(where.removeprefix(KMS))


def create_pair(private: Path, public: Path) -> bool:
    """Create the pair if it does not exist; True if a file was written.

    The private file gets mode 0600. A missing public file is derived from the private one. Raises InputError
    if a file contains something else, the two do not match, or only the public one exists.
    """
    if not private.exists() and public.exists():
        raise InputError(
            "the private key is missing but its public half exists",
            where=str(private),
            remedy=f"restore the private key, or remove {public} to create a new pair",
        )
    changed = not private.exists()
    if changed:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        _write_new(private, pem, 0o600)
    return write_public(load_private(private), public) or changed


def write_public(key: SigningKey, public: Path) -> bool:
    """Write the public half of `key` if it does not exist; True if it was written.

    Raises InputError if the file contains something else.
    """
    expected = public_pem(key.public_key())
    if not public.exists():
        _write_new(public, expected, 0o644)
        return True
    if public_pem(load_public(public)) != expected:
        raise InputError(
            "does not belong to the private key",
            where=str(public),
            remedy="remove it, or restore the private key",
        )
    return False


def load_private(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private key. Raises InputError if it is not a P-256 key in PEM form or others may read it."""
    pem = _read(path)
    status = path.stat()
    # A key with another owner is read through its group, as Kubernetes mounts a Secret for a pod's user.
    others = 0o077 if status.st_uid == os.geteuid() else 0o037
    if status.st_mode & others:
        raise InputError(
            "others may read or change this private key", where=str(path), remedy=f"chmod 600 {path}"
        )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _no_key("private", str(path)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _no_key("private", str(path))
    return key


def load_public(path: Path) -> ec.EllipticCurvePublicKey:
    """Read a public key. Raises InputError if it is not a P-256 key in PEM form."""
    return public_key(_read(path), str(path))


def public_key(pem: bytes, where: str) -> ec.EllipticCurvePublicKey:
    """The public key in `pem`, which is from `where`. Raises InputError if it is not a P-256 key in PEM form."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key("public", where) from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _no_key("public", where)
    return key


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the public key in PEM form (SubjectPublicKeyInfo)."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public PEM, 64 hex digits: the key's identifier in a model-signing bundle."""
    return hashlib.sha256(public_pem(key)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_BYTES)
    except OSError as error:
        raise InputError(
            f"cannot read the key: {error.strerror}",
            where=str(path),
            remedy="`scenario-model release key` creates a pair",
        ) from None


def _no_key(kind: str, where: str) -> InputError:
    return InputError(
        f"not an unencrypted {kind} ECDSA P-256 key in PEM form",
        where=where,
        remedy="`scenario-model release key` creates a pair",
    )


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Write a file that must not exist yet: temporary file, fsync, then link into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(aside, path)
    except FileExistsError:
        raise InputError("was created concurrently", where=str(path), remedy="run it again") from None
    except OSError as error:
        raise InputError(f"cannot write the key: {error.strerror}", where=str(path)) from None
    finally:
        aside.unlink(missing_ok=True)
