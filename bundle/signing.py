"""A folder's digests, in sha256sum's format, and a signature of them that openssl can verify."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bundle import SIGNATURE, SUMS, BundleError

if TYPE_CHECKING:
    from pathlib import Path


def signing_key(private: Path, public: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in a PEM file; if missing, create it (0600) with the public key next to it.

    Raises BundleError if the file contains no such key.
    """
    if not private.exists():
        private.parent.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    try:
        loaded = serialization.load_pem_private_key(private.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, OSError) as error:
        raise BundleError(f"{private}: cannot read a private key: {error}") from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise BundleError(f"{private}: not an elliptic-curve key", remedy="choose another file with --key")
    form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(loaded.public_key().public_bytes(*form))
    return loaded


def sign(folder: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write the SHA-256 of every file in the folder, sorted by name, and sign the list."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder)}\n")
    sums = "".join(lines).encode()
    (folder / SUMS).write_bytes(sums)
    (folder / SIGNATURE).write_bytes(key.sign(sums, ec.ECDSA(hashes.SHA256())))
