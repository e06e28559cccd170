"""The signature of a release: an OpenSSF Model Signing bundle, written by that project's library, verified here.

Verification is our own, some eighty lines on `cryptography`: the library takes 1.5 s to import, and also
accepts the faulty encoding of its first versions and, by default, unsigned files. Here only one byte-exact
form of a bundle is accepted, so that no changed byte passes. The tests compare both implementations.

Formats: Sigstore bundle v0.3 (https://docs.sigstore.dev/about/bundle/) around a DSSE envelope
(https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md) with an in-toto statement v1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model import atomic_io
from scenario_model.errors import Refused
from scenario_model.signing.keys import SigningKey, create_pair, fingerprint, load_private, load_public
from scenario_model.signing.tree import SIGNATURE, check_file_name

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_BYTES = 4 * 1024 * 1024

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_SERIALIZATION = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": [SIGNATURE],
}
_HEX = re.compile(r"[0-9a-f]{64}")


def sign_directory(directory: Path, key: Path | SigningKey) -> None:
    """Write `release.sig` into `directory`: it covers every other file there, hidden ones too.

    `key`: the private key, or its PEM file.
    """
    private = load_private(key) if isinstance(key, Path) else key
    payload = _statement(directory)
    signature = private.sign(_encoded(payload), ec.ECDSA(hashes.SHA256()))
    bundle = _bundle(fingerprint(private.public_key()), payload, signature)
    atomic_io.write_text(directory / SIGNATURE, bundle.decode())


def _statement(directory: Path) -> bytes:
    """The statement to sign about `directory`, as written by the model-signing library.

    It only supports keys in files; so it signs with an ephemeral key, and its statement is signed again with
    the real one.
    """
    # Imported lazily: only signing needs the library, and its import is slow.
    from model_signing import hashing, signing

    files = hashing.Config().use_file_serialization(hashing_algorithm="sha256")
    files.set_ignored_paths(paths=[Path(SIGNATURE)], ignore_git_paths=False)
    with tempfile.TemporaryDirectory() as folder:
        passing, public = Path(folder) / "key.pem", Path(folder) / "public.pem"
        create_pair(passing, public)
        signer = signing.Config().use_elliptic_key_signer(private_key=passing).set_hashing_config(files)
        signer.sign(directory, Path(folder) / SIGNATURE)
        return _verified_payload((Path(folder) / SIGNATURE).read_bytes(), load_public(public))


def signed_files(bundle: bytes, key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """The signed files: relative POSIX path to SHA-256 (64 hex digits).

    Raises Refused if the bundle is not in the accepted form, not signed by `key`, or lists a file not allowed
    in a release.
    """
    payload = _verified_payload(bundle, key)
    try:
        statement = json.loads(payload)
        predicate = statement["predicate"]
        resources = predicate["resources"]
        files = {entry["name"]: entry["digest"] for entry in resources}
        fits = (
            statement["_type"] == _STATEMENT_TYPE
            and statement["predicateType"] == _PREDICATE_TYPE
            and predicate["serialization"] == _SERIALIZATION
            and len(files) == len(resources)
            and all(entry["algorithm"] == "sha256" for entry in resources)
            and all(isinstance(digest, str) and _HEX.fullmatch(digest) for digest in files.values())
            and [subject["digest"]["sha256"] for subject in statement["subject"]] == [_root_digest(files)]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise Refused("signed, but not in the form of a release", where=SIGNATURE)
    for name in files:
        check_file_name(name)
    if SIGNATURE in files:
        raise Refused("lists itself as signed", where=SIGNATURE)
    return files


def _verified_payload(bundle: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    try:
        parsed: Any = json.loads(bundle)
        envelope = parsed["dsseEnvelope"]
        hint = parsed["verificationMaterial"]["publicKey"]["hint"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, binascii.Error):
        raise Refused("not a model-signing bundle", where=SIGNATURE) from None
    if not isinstance(hint, str) or not _HEX.fullmatch(hint) or _bundle(hint, payload, signature) != bundle:
        raise Refused("not a model-signing bundle in the accepted form", where=SIGNATURE)
    if hint != fingerprint(key):
        raise Refused(
            f"signed by another key (sha256:{hint[:16]}…, expected sha256:{fingerprint(key)[:16]}…)",
            where=SIGNATURE,
        )
    try:
        key.verify(signature, _encoded(payload), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("invalid signature: it or its list of files was changed", where=SIGNATURE) from None
    return payload


def _encoded(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, the bytes that are signed: type and payload, each with its length."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)


def _bundle(hint: str, payload: bytes, signature: bytes) -> bytes:
    """The only accepted encoding of a bundle."""
    parts = {
        "mediaType": _MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return json.dumps(parts, separators=(",", ":")).encode()


def _root_digest(files: dict[str, str]) -> str:
    digests: Iterable[bytes] = (bytes.fromhex(files[name]) for name in sorted(files, key=_parts))
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _parts(name: str) -> list[str]:
    """The library orders files by path segment, not by character."""
    return name.split("/")
