"""The model package's image: `model/Containerfile`, built without a container engine, for CPUs.

Base, packages and package are three layers. User, environment and entry point are the Containerfile's; its
RUN lines are replaced by uv, with the same lock, for the Python of the lab's Debian tree. See
`docs/decisions/0042-lab-images.md`.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import tomllib
from pathlib import Path

from bootstrap.console import say
from bundle import BundleError, cpu_only
from lab import LabError
from lab.images.archive import write_archive
from lab.images.containerfile import config_of
from lab.images.packages import install
from lab.premises.debian_tree import base_tree, recipe

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGE = _ROOT / "model"
_CONTAINERFILE = _PACKAGE / "Containerfile"
_LOCK = _ROOT / "requirements" / "model.lock"
_UV_LOCK = _ROOT / "requirements" / "uv.lock"
_PLACE = "opt/scenario-model"
_LABELS = {"org.opencontainers.image.title": "scenario-model", "scenario-lab.accelerator": "none: CPU only"}


class ModelImage:
    """The recipe of the image; there is only one, so its name is ignored."""

    def reference(self, _name: str) -> str:
        """Return the image's whole name, with the package's version."""
        project = tomllib.loads((_PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return f"localhost/scenario-model:{project['version']}"

    def digest(self, _name: str) -> str:
        """Return what identifies its content: package, locks, base, and build recipe."""
        files = [_CONTAINERFILE, _LOCK, _UV_LOCK, _PACKAGE / "pyproject.toml"]
        files += [Path(cpu_only.__file__), *sorted(Path(__file__).parent.glob("*.py"))]
        files += sorted(path for path in (_PACKAGE / "scenario_model").rglob("*") if _is_source(path))
        total = hashlib.sha256(recipe().encode())
        for path in files:
            total.update(
                f"{path.relative_to(_ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
            )
        return total.hexdigest()

    def make(self, name: str, target: Path) -> None:
        """Write the archive, 1.7 GB. Raises LabError if the base or the packages are unavailable."""
        base = base_tree()
        say("building the model package's image, CPU only: a minute or two")
        with tempfile.TemporaryDirectory(dir=target.parent) as aside:
            packages, package = Path(aside) / "packages", Path(aside) / "package"
            lock = Path(aside) / "lock"
            lock.write_text(cpu_only.without_gpu(_LOCK.read_text(encoding="utf-8")), encoding="utf-8")
            into = _Python(base)
            into.install(packages, "--require-hashes", "--requirement", str(lock))
            try:
                cpu_only.stand_in(packages)
            except BundleError as error:
                raise LabError(str(error)) from None
            source = shutil.copytree(_PACKAGE, Path(aside) / "source", ignore=shutil.ignore_patterns("build"))
            into.install(package, str(source))
            layers = [{"": base}, {_PLACE: packages}, {_PLACE: package}]
            write_archive(target, self.reference(name), layers, config_of(_CONTAINERFILE, _LABELS))


class _Python:
    """Installs packages for the Python of a tree."""

    def __init__(self, tree: Path) -> None:
        found = next(tree.glob("usr/bin/python3.[0-9]*"), None)
        if found is None:
            raise LabError(f"{tree} has no Python", remedy="remove it; the next run recreates it")
        self._version = found.name.removeprefix("python")

    def install(self, target: Path, *what: str) -> None:
        install(target, *what, options=("--python-version", self._version))


def _is_source(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts
