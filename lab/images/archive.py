"""Writes container images as files: plain tar layers in an archive that every container tool imports.

Format: <https://github.com/moby/docker-image-spec> v1.2, "combined image JSON + filesystem changeset".
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Layer = Mapping[str, Path]
"""A path in the image, without the leading slash, and the file or folder copied there."""

# Specific to this machine; created at the container's start if at all.
_LEFT_OUT = ("dev/", "proc/", "sys/", "run/", "tmp/", "var/cache/", "var/lib/apt/lists/", "var/log/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Configuration of the image's containers."""

    entrypoint: Sequence[str]
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def write_archive(target: Path, reference: str, layers: Sequence[Layer], config: Config) -> Path:
    """Write the image under its name; reproducible.

    A folder is copied with owners and modes; a single file becomes an executable owned by root.
    """
    digests = []
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as whole:
        for number, layer in enumerate(layers):
            written = target.with_name(f"{target.name}.{number}")
            digest = _write_layer(written, layer)
            whole.add(written, f"{digest}/layer.tar", filter=_neutral)
            written.unlink()
            digests.append(digest)
        about = json.dumps(_about(config, digests), sort_keys=True).encode()
        name = f"{hashlib.sha256(about).hexdigest()}.json"
        manifest = {
            "Config": name,
            "RepoTags": [reference],
            "Layers": [f"{each}/layer.tar" for each in digests],
        }
        for path, content in ((name, about), ("manifest.json", json.dumps([manifest]).encode())):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            whole.addfile(member, io.BytesIO(content))
    return target


def _write_layer(target: Path, layer: Layer) -> str:
    """Write one layer and return its SHA-256, which is also its name: layers are not compressed."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for place, source in sorted(layer.items()):
            for parent in reversed(Path(place).parents[:-1]):
                member = tarfile.TarInfo(str(parent))
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
            tar.add(source, place or ".", filter=_neutral if source.is_file() else _without_state)
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _neutral(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Reset owner and time of a file."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755
    return member


def _without_state(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Add a folder's content, without machine-specific files; owners only by number, as names may differ."""
    member.uname = member.gname = ""
    return None if member.name.removeprefix("./").startswith(_LEFT_OUT) or member.isdev() else member


def _about(config: Config, digests: Sequence[str]) -> dict[str, Any]:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "architecture": machine,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": list(config.entrypoint),
            "User": config.user,
            "Env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                *(f"{name}={value}" for name, value in config.environment.items()),
            ],
            "Labels": dict(config.labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in digests]},
    }
