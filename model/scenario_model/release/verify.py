"""The only verifier: a directory is an unchanged release signed by this key, or it is refused, naming the
file.

Order: types and names of all files, then the signature, then the signed list against the files present, then
every file's hash; only then is any content (`release.json`) parsed.

Limitation: anyone with write access to the directory can change a file between verification and loading.
`VerifiedRelease.check_unchanged` after loading closes that gap for a loader that copies; keep the store writable
by its owner only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scenario_model.digests import json_digest
from scenario_model.errors import Refused
from scenario_model.release.names import ReleaseId, is_name
from scenario_model.signing import signature, tree
from scenario_model.signing.keys import load_public

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

MANIFEST = "release.json"


@dataclass(frozen=True, slots=True)
class VerifiedRelease:
    """A verified release. `digest` is `sha256:<64 hex>`; `manifest` is the content of `release.json`."""

    name: str
    digest: str
    directory: Path
    manifest: dict[str, Any]
    states: dict[str, tree.FileState] = field(repr=False)

    @property
    def id(self) -> str:
        """`name@sha256:<64 hex>`."""
        return str(ReleaseId(self.name, self.digest))

    def check_unchanged(self) -> None:
        """Refuse, by name, if any file was modified since it was verified; call it after the files were read.

        Compares device, inode, size and change time, which only the kernel sets; nothing is read again.
        """
        with tree.opened(self.directory) as root:
            now = tree.inspect(root)
        for name in sorted(now.keys() | self.states.keys()):
            if now.get(name) != self.states.get(name):
                raise Refused("changed after it was verified", where=name, remedy="load it again")


def verify_release(directory: Path, key: Path, expect: str | None = None) -> VerifiedRelease:
    """Verify the release in `directory` with the public key in the PEM file `key`.

    `expect` (`name@sha256:…`), if given, must be the release found. Raises Refused with the file and the
    fault, and InputError for an unusable key.
    """
    return verify_with(directory, load_public(key), expect)


def verify_with(
    directory: Path, key: ec.EllipticCurvePublicKey, expect: str | None = None
) -> VerifiedRelease:
    """As `verify_release`, with a key that is already loaded."""
    with tree.opened(directory) as root:
        found, signed = _verified_files(root, directory, key)
        if MANIFEST not in found:
            raise Refused("a release must have it", where=MANIFEST)
        manifest = _manifest(tree.read_small(root, MANIFEST, signature.MAX_BYTES), signed[MANIFEST])
    release = VerifiedRelease(manifest["name"], release_digest(signed), directory, manifest, found)
    if expect is not None and release.id != expect:
        raise Refused(f"contains {release.id}, but {expect} was expected", where=str(directory))
    return release


def verify_files(directory: Path, key: Path) -> None:
    """Verify that `directory` matches its signature, whatever it contains; nothing is parsed. Raises as
    `verify_release` does."""
    with tree.opened(directory) as root:
        _verified_files(root, directory, load_public(key))


def _verified_files(
    root: int, directory: Path, key: ec.EllipticCurvePublicKey
) -> tuple[dict[str, tree.FileState], dict[str, str]]:
    """All files present, and the SHA-256 (hex) of the signed ones: all but the signature."""
    found = tree.inspect(root)
    if tree.SIGNATURE not in found:
        raise Refused(f"not signed: it has no {tree.SIGNATURE}", where=str(directory))
    signed = signature.signed_files(tree.read_small(root, tree.SIGNATURE, signature.MAX_BYTES), key)
    content = {name: state for name, state in found.items() if name != tree.SIGNATURE}
    _compare_names(content.keys(), signed.keys())
    for name, digest in tree.hash_files(root, content).items():
        if digest != signed[name]:
            raise Refused("content differs from what was signed", where=name)
    return found, signed


def release_digest(files: dict[str, str]) -> str:
    """The digest that names a release, from its signed list of files (path to SHA-256 hex).

    It is `digests.tree_digest` of the directory without `release.sig`, so that signing again gives the same
    name. The bundle's own root digest is not used: it does not cover file names.
    """
    return json_digest({name: f"sha256:{digest}" for name, digest in files.items()})


def _compare_names(found: Any, signed: Any) -> None:
    for name in sorted(found - signed):
        raise Refused("exists but was not signed", where=name)
    for name in sorted(signed - found):
        raise Refused("was signed but is missing", where=name)


def _manifest(content: bytes, digest: str) -> dict[str, Any]:
    # The file is read a second time here: these very bytes must be the signed ones.
    if hashlib.sha256(content).hexdigest() != digest:
        raise Refused("content differs from what was signed", where=MANIFEST)
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        manifest = None
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != 1
        or not is_name(str(manifest.get("name")))
    ):
        raise Refused("signed, but not a release description that this version supports", where=MANIFEST)
    return manifest
