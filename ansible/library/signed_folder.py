#!/usr/bin/python
"""Ansible module: verify a bundle on the control node before any of it is copied to a host."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: signed_folder
short_description: Verify a folder by its SHA256SUMS and their signature
description:
  - C(SHA256SUMS.sig) must be an ECDSA signature of C(SHA256SUMS) by the key, and every file of the folder
    must be listed there with its digest; a missing, changed or unlisted file is named.
options:
  path: {type: path, required: true, description: [The folder.]}
  key: {type: path, required: true, description: [The public key, PEM.]}
author: [model-deployment-scenarios]
"""
RETURN = r"""
digest: {type: str, returned: success, description: [SHA-256 of SHA256SUMS, which identifies the whole folder.]}
"""

_SUMS, _SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"


class RefusedError(Exception):
    """The folder does not match its signature; the message is for the user."""


def verify(folder: Path, key_file: Path) -> str:
    """Verify the folder; return the digest of its list. Raises RefusedError, OSError."""
    sums = (folder / _SUMS).read_bytes()
    _verify_signature(key_file, (folder / _SIGNATURE).read_bytes(), sums)
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in sums.decode().splitlines())}
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if not path.is_dir()}
    found = {name: path for name, path in found.items() if name not in {_SUMS, _SIGNATURE}}
    for name in sorted(listed.keys() | found.keys()):
        if name not in found:
            raise RefusedError(f"{name} is missing")
        if name not in listed:
            raise RefusedError(f"{name} is not in {_SUMS}")
        if found[name].is_symlink() or _digest(found[name]) != listed[name]:
            raise RefusedError(f"{name} was changed")
    return hashlib.sha256(sums).hexdigest()


def _verify_signature(key_file: Path, signature: bytes, sums: bytes) -> None:
    # Ansible itself needs cryptography, but only on the control node, where this module runs.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(key_file.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise RefusedError(f"{key_file} is not a public key in PEM format") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise RefusedError(f"{key_file} is not an elliptic-curve key")
    try:
        key.verify(signature, sums, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise RefusedError(f"{_SUMS} was not signed with {key_file}, or was modified") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    """Verify and return the digest."""
    options: dict[str, Any] = {name: {"type": "path", "required": True} for name in ("path", "key")}
    options["key"]["no_log"] = False  # the path of a public key
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    folder = Path(module.params["path"])
    try:
        digest = verify(folder, Path(module.params["key"]))
    except (RefusedError, OSError, ValueError) as error:
        module.fail_json(msg=f"bundle {folder}: {error}; the bundle is not used: create or download it again")
    module.exit_json(changed=False, digest=digest)


if __name__ == "__main__":
    main()
