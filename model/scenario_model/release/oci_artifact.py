"""A release as an artifact of the ModelPack specification 0.0.7: one raw layer a file, a configuration, a manifest.

https://github.com/modelpack/model-spec. A raw layer's digest is its file's, so that the list that `release.sig` signs
is also the list of layers: who has the key knows what belongs to the release before a layer is downloaded. The same
release always gives the same artifact.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from scenario_model.digests import file_digest
from scenario_model.errors import Refused
from scenario_model.release.oci_reference import is_digest
from scenario_model.release.oci_registry import MANIFEST, digest_of
from scenario_model.release.verify import MANIFEST as DESCRIPTION
from scenario_model.signing.tree import check_file_name

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.release.names import ReleaseId

ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"
SIGNATURE_ARTIFACT = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY = b"{}"
"""The configuration of an artifact that has none (OCI image specification 1.1)."""
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_PATH = "org.cncf.model.filepath"
_METADATA = "org.cncf.model.file.metadata+json"
_TITLE = "org.opencontainers.image.title"
_WEIGHTS, _SETTINGS, _DOCUMENTS = "weight", "weight.config", "doc"
_KINDS = {".safetensors": _WEIGHTS, ".md": _DOCUMENTS, "": _DOCUMENTS}
_MAX_FILES = 10_000
# A terabyte for one file: a bound on what may be asked of a disk.
_MAX_BYTES = 2**40


@dataclass(frozen=True, slots=True)
class Layer:
    """One file of a release. `digest`: `sha256:<64 hex>`."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is pushed beside the layers."""

    layers: tuple[Layer, ...]
    config: bytes
    manifest: bytes


def artifact_of(release: ReleaseId, directory: Path) -> Artifact:
    """Describe the release in a directory. Raises Refused for a file that no release has."""
    paths = sorted(path for path in directory.rglob("*") if not path.is_dir())
    layers = []
    for path in paths:
        name = path.relative_to(directory).as_posix()
        check_file_name(name)
        if path.is_symlink() or not path.is_file():
            raise Refused("is a symlink or special file", where=str(path))
        layers.append(Layer(name, file_digest(path), path.stat().st_size))
    config = _json(_config(release, layers, json.loads((directory / DESCRIPTION).read_bytes())))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": _descriptor(CONFIG, config),
        "layers": [_layer(each) for each in layers],
    }
    return Artifact(tuple(layers), config, _json(manifest))


def signature_of(manifest: bytes, signature: bytes) -> bytes:
    """The manifest of a referrer: the signature as an artifact of its own, which tools find by the release's."""
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": SIGNATURE_ARTIFACT,
            "config": _descriptor(_EMPTY_TYPE, EMPTY),
            "layers": [_descriptor(SIGNATURE_ARTIFACT, signature)],
            "subject": _descriptor(MANIFEST, manifest),
        }
    )


def layers_of(manifest: bytes, where: str) -> dict[str, Layer]:
    """The files that a manifest from a registry lists, by their paths. Raises Refused if no release has such a list."""
    try:
        read = json.loads(manifest)
        kind, listed = read.get("artifactType"), read.get("layers")
    except (ValueError, AttributeError, RecursionError):
        kind, listed = None, None
    if kind != ARTIFACT or not isinstance(listed, list) or not 0 < len(listed) <= _MAX_FILES:
        raise Refused(f"is not a model ({ARTIFACT})", where=where)
    layers = {layer.path: layer for layer in (_read_layer(each, where) for each in listed)}
    if len(layers) != len(listed):
        raise Refused("lists a file twice", where=where)
    for path in layers:
        if any(str(parent) in layers for parent in PurePosixPath(path).parents):
            raise Refused("is listed below a file", where=path)
    return layers


def _config(release: ReleaseId, layers: list[Layer], description: Any) -> dict[str, Any]:
    descriptor = {"name": release.name, "version": release.digest}
    told = description if isinstance(description, dict) else {}
    if isinstance(created := told.get("created"), str):
        descriptor["createdAt"] = created
    return {
        "descriptor": descriptor,
        "config": {
            "format": "safetensors",
            "capabilities": {"inputTypes": ["text"], "outputTypes": ["text"]},
        },
        "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
    }


def _layer(layer: Layer) -> dict[str, Any]:
    kind = _KINDS.get(PurePosixPath(layer.path).suffix, _SETTINGS)
    # The same for everyone, so that the manifest is, too.
    metadata = {
        "name": layer.path,
        "mode": 0o444,
        "uid": 0,
        "gid": 0,
        "size": layer.size,
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": ord("0"),
    }
    return {
        "mediaType": f"application/vnd.cncf.model.{kind}.v1.raw",
        "digest": layer.digest,
        "size": layer.size,
        # The title is where other clients of registries look for a file's name.
        "annotations": {_PATH: layer.path, _TITLE: layer.path, _METADATA: _json(metadata).decode()},
    }


def _read_layer(told: Any, where: str) -> Layer:
    found = told if isinstance(told, dict) else {}
    notes = found.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    path, digest, size = notes.get(_PATH, notes.get(_TITLE)), found.get("digest"), found.get("size")
    # A boolean is an integer, too.
    if not isinstance(path, str) or not isinstance(digest, str) or type(size) is not int:
        raise Refused("lists a layer without path, digest or size", where=where)
    if not is_digest(digest) or not 0 <= size <= _MAX_BYTES:
        raise Refused("lists a layer whose digest or size is not usable", where=where)
    check_file_name(path)
    return Layer(path, digest, size)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
