"""Locked packages as wheels, fetched once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from bootstrap.cache import cache_folder, exclusive
from bootstrap.console import Progress, say
from bootstrap.registry import uv_environment
from bundle import BundleError, cpu_only

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements"
_CPU_LIBRARIES = "scenario-cpu-libraries"
_LOADED_BY_TORCH = ("torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti")


def fetch(lock: str, target: Path) -> None:
    """Link the wheels of a lock for this Python and platform from the cache into a folder.

    Raises BundleError if no package registry is reachable, or a package has no wheel.
    """
    kept = cache_folder() / "bundle" / _kept_name(lock)
    with exclusive(kept.with_name(f"{kept.name}.lock"), "fetching the bundle's packages"):
        if not (kept / "complete").exists():
            kept.mkdir(parents=True, exist_ok=True)
            (kept / "lock").write_text(lock, encoding="utf-8")
            _download(kept)
            (kept / "complete").touch()
        for wheel in kept.glob("*.whl"):
            _link(wheel, target / wheel.name)


def _kept_name(*parts: str) -> str:
    """Name what is kept after all that determines it: another Python or platform needs other wheels."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return hashlib.sha256("\0".join([*parts, python, sysconfig.get_platform()]).encode()).hexdigest()[:16]


def prove(lock: Path, wheels: Path) -> None:
    """Install a lock once as hosts will: offline, from these wheels alone, into an environment that is thrown away.

    Raises BundleError if that fails, as with a wheel that is missing or for another Python.
    """
    remedy = f"the bundle would not install on a host; remove {cache_folder() / 'bundle'} and build it again"
    with tempfile.TemporaryDirectory(dir=wheels.parent, prefix="proof-") as aside:
        environment = Path(aside) / "environment"
        uv = [sys.executable, "-m", "uv", "--quiet", "--offline", "--cache-dir", str(Path(aside) / "cache")]
        _run([*uv, "venv", "--no-python-downloads", "--python", sys.executable, str(environment)], remedy)
        from_wheels = ["--no-index", "--find-links", str(wheels), "--no-deps", "--require-hashes"]
        python = str(environment / "bin" / "python")
        _run([*uv, "pip", "install", "--python", python, *from_wheels, "--requirement", str(lock)], remedy)


def for_cpu(lock: str, target: Path) -> str:
    """Return the lock with NVIDIA's libraries replaced by a small wheel of stubs.

    That wheel is added to the folder of the other wheels. See `cpu_only`.
    """
    recipe = [Path(source).read_text(encoding="utf-8") for source in (str(cpu_only.__file__), __file__)]
    wheel = cache_folder() / "bundle" / "cpu" / _kept_name(lock, *recipe) / _wheel_name()
    with exclusive(wheel.parents[1].with_suffix(".lock"), "building stub libraries"):
        if not wheel.exists():
            say("building the stubs that let torch run without NVIDIA's libraries: half a minute, once")
            _make_cpu_libraries(lock, target, wheel)
    _link(wheel, target / wheel.name)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{lock}{_CPU_LIBRARIES}==0 \\\n    --hash=sha256:{digest}\n"


def _wheel_name() -> str:
    return f"{_CPU_LIBRARIES.replace('-', '_')}-0-py3-none-linux_{os.uname().machine}.whl"


def _make_cpu_libraries(lock: str, wheels: Path, wheel: Path) -> None:
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as aside:
        site = Path(aside) / "site"
        offline = ["--offline", "--no-index", "--find-links", str(wheels), "--no-deps", "--link-mode", "copy"]
        chosen = [f"{name}=={pinned[name]}" for name in _LOADED_BY_TORCH]
        _run([sys.executable, "-m", "uv", "pip", "install", *offline, "--target", str(site), *chosen])
        made = cpu_only.stand_in(site)
        files = {
            str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.name in made
        }
        _write_wheel(Path(aside) / wheel.name, files)
        (Path(aside) / wheel.name).rename(wheel)


def _write_wheel(wheel: Path, files: dict[str, bytes]) -> None:
    """Write a wheel from these files (https://packaging.python.org/specifications/binary-distribution-format)."""
    about = f"{_CPU_LIBRARIES.replace('-', '_')}-0.dist-info"
    tag = wheel.stem.split("-", 2)[2]
    files = files | {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {_CPU_LIBRARIES}\nVersion: 0\n".encode(),
        f"{about}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: bundle\nRoot-Is-Purelib: false\nTag: {tag}\n"
        ).encode(),
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (files | {f"{about}/RECORD": record.encode()}).items():
            archive.writestr(zipfile.ZipInfo(name), content)


def _download(folder: Path) -> None:
    progress = Progress("packages")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    fixed = ["--require-hashes", "--only-binary=:all:", "--dest", str(folder)]
    _run([*pip, *fixed, "--requirement", str(folder / "lock")])
    size = sum(path.stat().st_size for path in folder.glob("*.whl"))
    progress.done(f"{len(list(folder.glob('*.whl')))} wheels, {size / 1e9:.1f} GB")


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # the cache is on another file system
        target.write_bytes(source.read_bytes())


def _run(command: list[str], remedy: str = "is a package registry within reach?") -> None:
    done = subprocess.run(  # noqa: S603
        command, env=uv_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise BundleError(f"`{' '.join(command[2:5])} …` failed: {' | '.join(words[-3:])}", remedy=remedy)
