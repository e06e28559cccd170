"""Pushes a release to an OCI registry and pulls it from one, verified as everywhere else before it is anywhere.

The door for those who have such a registry; sites follow a catalogue. See docs/decisions/0071-oci-registries.md.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenario_model.atomic_io import disk_errors
from scenario_model.cloud import tree as trees
from scenario_model.errors import InputError, Refused
from scenario_model.release import oci_artifact
from scenario_model.release.names import ReleaseId, is_name
from scenario_model.release.oci_download import download
from scenario_model.release.oci_registry import INDEX, MANIFEST, digest_of
from scenario_model.release.verify import MANIFEST as DESCRIPTION
from scenario_model.release.verify import release_digest, verify_with
from scenario_model.signing import signature
from scenario_model.signing.tree import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric import ec

    from scenario_model.release.oci_artifact import Artifact, Layer
    from scenario_model.release.oci_reference import Reference
    from scenario_model.release.oci_registry import Registry
    from scenario_model.release.store import Store

_TAG_DIGITS = 12
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pushed:
    """`reference`: by digest. `tagged`: by tag. `sent`: bytes of layers that the registry did not have."""

    reference: Reference
    tagged: Reference
    sent: int
    changed: bool


@dataclass(frozen=True, slots=True)
class Pulled:
    """`reference`: by digest. `received`: bytes of layers."""

    release: str
    reference: Reference
    received: int
    changed: bool


def push(registry: Registry, store: Store, release: str, where: Reference) -> Pushed:
    """Push a release under a tag: that of `where`, else one of the release's name and digest.

    Raises InputError for a reference by digest, or a release that is not in the store; Refused if its files are not
    those that its digest names, or the registry does not take it.
    """
    name = ReleaseId.parse(release)
    if where.digest:
        raise InputError("a release is pushed to a tag", where=str(where), remedy="leave the digest out")
    directory = store.fetch(release)
    artifact = oci_artifact.artifact_of(name, directory)
    files = {
        each.path: each.digest.removeprefix("sha256:") for each in artifact.layers if each.path != SIGNATURE
    }
    if len(files) == len(artifact.layers) or release_digest(files) != name.digest:
        raise Refused("its files are not those of the release", where=str(directory))
    digest = digest_of(artifact.manifest)
    tag = where.tag or f"{name.name}-{name.digest.removeprefix('sha256:')[:_TAG_DIGITS]}"
    changed = registry.manifest(tag) != artifact.manifest
    sent = _put_layers(registry, artifact, directory)
    if changed:
        # Not again: a registry may take each tag once.
        registry.put_manifest(tag, artifact.manifest)
    _refer(registry, artifact.manifest, (directory / SIGNATURE).read_bytes())
    return Pushed(replace(where, tag="", digest=digest), replace(where, tag=tag), sent, changed)


def pull_to_folder(
    registry: Registry, where: Reference, key: ec.EllipticCurvePublicKey, folder: Path
) -> Pulled:
    """Pull a release into a folder that then is the release; it appears whole, and verified.

    The signature is read first: what this key did not sign is refused before its layers are downloaded. Raises
    InputError if there is no such artifact; Refused if it is no release signed by the key, or the folder has another.
    """
    found = _found(registry, where, key)
    received = 0
    with trees.aside(folder) as draft:
        if draft is not None:
            with disk_errors(folder):
                received = download(registry, found.layers, draft)
        verify_with(draft or folder, key, expect=found.release)
    return Pulled(found.release, found.reference, received, changed=draft is not None)


def pull_to_store(
    registry: Registry, where: Reference, key: ec.EllipticCurvePublicKey, store: Store, cache: Path
) -> Pulled:
    """As `pull_to_folder`, into a store; `cache` is a local folder for what has arrived so far."""
    found = _found(registry, where, key)
    name = ReleaseId.parse(found.release)
    if name.key.rpartition("/")[2] in store.children(f"releases/{name.name}"):
        verify_with(store.fetch(found.release), key, expect=found.release)
        return Pulled(found.release, found.reference, 0, changed=False)
    arrived = cache / found.reference.digest.replace(":", "-")
    received = pull_to_folder(registry, found.reference, key, arrived).received
    changed = store.upload(found.release, arrived)
    shutil.rmtree(arrived)
    return Pulled(found.release, found.reference, received, changed)


def default_cache() -> Path:
    """Where what has arrived so far is kept: in XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "scenario-model" / "pulled"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a registry has: a release's name and layers, as its signature lists them."""

    release: str
    reference: Reference
    layers: Mapping[str, Layer]


def _found(registry: Registry, where: Reference, key: ec.EllipticCurvePublicKey) -> _Found:
    asked = where.digest or where.tag
    if not asked:
        raise InputError("names no artifact", where=str(where), remedy="add :TAG or @sha256:…")
    content = registry.manifest(asked)
    if content is None:
        raise InputError("the registry has no such artifact", where=str(where))
    layers = oci_artifact.layers_of(content, str(where))
    if SIGNATURE not in layers:
        raise Refused(f"not signed: it has no {SIGNATURE}", where=str(where))
    signed = signature.signed_files(registry.small_blob(layers[SIGNATURE].digest, signature.MAX_BYTES), key)
    listed = {
        path: layer.digest.removeprefix("sha256:") for path, layer in layers.items() if path != SIGNATURE
    }
    for path in sorted(listed.keys() | signed.keys()):
        if path not in signed:
            raise Refused("exists but was not signed", where=path)
        if path not in listed:
            raise Refused("was signed but is missing", where=path)
        if listed[path] != signed[path]:
            raise Refused("content differs from what was signed", where=path)
    if DESCRIPTION not in layers:
        raise Refused("a release must have it", where=DESCRIPTION)
    description = registry.small_blob(layers[DESCRIPTION].digest, signature.MAX_BYTES)
    release = f"{_name(description)}@{release_digest(signed)}"
    return _Found(release, replace(where, tag="", digest=digest_of(content)), layers)


def _name(description: bytes) -> str:
    """A release's name; its description is as it was signed, and is checked in full once it has arrived."""
    try:
        read = json.loads(description)
    except (ValueError, RecursionError):
        read = None
    name = read.get("name") if isinstance(read, dict) else None
    if not isinstance(name, str) or not is_name(name):
        raise Refused("signed, but not a release description that this version supports", where=DESCRIPTION)
    return name


def _put_layers(registry: Registry, artifact: Artifact, directory: Path) -> int:
    sent = 0
    for layer in artifact.layers:
        if registry.put_blob(layer.digest, layer.size, partial(_pieces, directory / layer.path)):
            sent += layer.size
    registry.put_blob(digest_of(artifact.config), len(artifact.config), lambda: artifact.config)
    return sent


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def _refer(registry: Registry, manifest: bytes, bundle: bytes) -> None:
    """Let tools find the signature by the release's manifest: as a referrer."""
    empty = oci_artifact.EMPTY
    registry.put_blob(digest_of(empty), len(empty), lambda: empty)
    content = oci_artifact.signature_of(manifest, bundle)
    answered = registry.put_manifest(digest_of(content), content)
    if "oci-subject" in answered:
        return
    # A registry without referrers lists them under a tag: distribution specification 1.1, "Referrers Tag Schema".
    tag = digest_of(manifest).replace(":", "-")
    entry = {
        "mediaType": MANIFEST,
        "artifactType": oci_artifact.SIGNATURE_ARTIFACT,
        "digest": digest_of(content),
        "size": len(content),
    }
    others = _referrers(registry.manifest(tag))
    if entry not in others:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}
        registry.put_manifest(tag, json.dumps(index).encode(), INDEX)


def _referrers(index: bytes | None) -> list[Any]:
    try:
        read = json.loads(index or b"{}")
        listed = read.get("manifests", [])
    except (ValueError, AttributeError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        raise Refused("the registry's list of referrers is not an index")
    return listed
