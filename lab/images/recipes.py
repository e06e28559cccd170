"""Recipes of images with a single static program."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.binaries import programs
from lab.binaries.groups import GROUPS
from lab.images.archive import Config, write_archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An image with one program: of the group of the same name, at its root, unless something else is said."""

    program: str
    user: str = ""
    group: str = ""
    place: str = ""

    def reference(self, name: str) -> str:
        """Return the image's whole name."""
        return f"localhost/scenario-lab/{name}:{GROUPS[self.group or name].version}"

    def digest(self, name: str) -> str:
        """Return what identifies its content."""
        with (programs(self.group or name) / self.program).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(f"{content} {self}".encode()).hexdigest()

    def make(self, name: str, target: Path) -> None:
        """Write the archive. The program may write to its own `/tmp`."""
        with tempfile.TemporaryDirectory() as aside:
            temporary = Path(aside) / "tmp"
            temporary.mkdir()
            temporary.chmod(0o1777)
            binary = shutil.copyfile(programs(self.group or name) / self.program, Path(aside) / self.program)
            place = self.place or self.program
            layer = {place: binary, "tmp": temporary}
            write_archive(
                target,
                self.reference(name),
                [layer],
                Config(entrypoint=[f"/{place}"], user=self.user),
            )


# Numbers, not names: the kubelet can only check numbers for root.
RECIPES = {
    "coredns": Recipe(program="coredns"),  # listens on port 53: its pod drops all other capabilities
    "jobset": Recipe(program="manager", user="65532:65532"),
    "kueue": Recipe(program="manager", user="65532:65532"),
    "keda": Recipe(group="keda", program="operator", place="keda", user="65532:65532"),
    "keda-adapter": Recipe(group="keda", program="adapter", place="keda-adapter", user="65532:65532"),
    "envoy-gateway": Recipe(program="envoy-gateway", place="usr/local/bin/envoy-gateway", user="65532:65532"),
    "device-plugin": Recipe(program="device-plugin"),  # the kubelet's folder of plugins is root's
    "pause": Recipe(program="pause", user="65535:65535"),
}
