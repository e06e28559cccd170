"""`.venv`, from locked requirements with hashes: `control` for `make up`, `cloud` for stacks in a cloud,
`dev` for tests, `bench` for benchmarks of peers.

Each set contains the one before, so the environment only grows: `make up` after `make test` installs nothing.
A stamp records what is installed; it is removed before anything changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys

from bootstrap import ToolError
from bootstrap.cache import exclusive
from bootstrap.console import Progress, detail, run, say
from bootstrap.registry import uv_environment
from cli import ROOT, CliError

SETS = ("control", "cloud", "dev", "bench")
VENV = ROOT / ".venv"
_REQUIREMENTS = ROOT / "requirements"
_STAMP = VENV / ".synced.json"
_UNFINISHED = VENV / ".unfinished"


def ensure(wanted: str) -> None:
    """Install the wanted set into `.venv`. A second call reads one file.

    Raises CliError if Python cannot create environments, no package registry is reachable, or `.venv` is for
    another Python than PYTHON; BootstrapError if the bundle does not match its signature.
    """
    _refuse_another_python()
    held = _held()
    if held and held["digest"] == _digest(held["set"]) and SETS.index(held["set"]) >= SETS.index(wanted):
        return
    with exclusive(ROOT / ".state" / "venv.lock", "setting .venv up"):
        target = max(wanted, held["set"], key=SETS.index) if held else wanted
        _set_up(target)


def _refuse_another_python() -> None:
    """Raise CliError if the user names a Python (make PYTHON=…) and `.venv` is for another one, which would win."""
    try:
        lines = (VENV / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    version = next((line.partition("=")[2].strip() for line in lines if line.startswith("version")), "")
    held, asked = ".".join(version.split(".")[:2]), f"{sys.version_info.major}.{sys.version_info.minor}"
    if held and held != asked and (named := os.environ.get("PYTHON")):
        raise CliError(
            f".venv is for Python {held}, but PYTHON={named} is {asked}; remove {VENV} to have it set up for that one, "
            "or leave PYTHON out"
        )


def _held() -> dict[str, str] | None:
    try:
        stamp = json.loads(_STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    usable = isinstance(stamp, dict) and stamp.get("set") in SETS and (VENV / "bin" / "python").exists()
    return stamp if usable else None


def _digest(name: str) -> str:
    """Digest of everything that determines what is installed: the lock, the installer, the model package's metadata."""
    inputs = [_REQUIREMENTS / f"{name}.lock", _REQUIREMENTS / "uv.lock", ROOT / "model" / "pyproject.toml"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()


def _set_up(name: str) -> None:
    say(f"python: installing requirements/{name}.lock into .venv (seconds to minutes)")
    if _UNFINISHED.exists():  # a killed installation may have left half a package, so none of it is trusted
        say("python: an earlier installation was interrupted; recreating .venv")
        shutil.rmtree(VENV)
    _STAMP.unlink(missing_ok=True)
    # uv creates environments without pip.
    if not all((VENV / "bin" / name).exists() for name in ("python", "pip")):
        _create()
    _UNFINISHED.touch()
    progress = Progress("python")
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes"]
    _run([*pip, "-r", str(_REQUIREMENTS / "uv.lock")])
    progress.update("packages")
    uv = [python, "-m", "uv", "--quiet", "pip"]
    _run([*uv, "sync", "--python", python, "--require-hashes", str(_REQUIREMENTS / f"{name}.lock")])
    if name in {"dev", "bench"}:  # the package under test, from this tree, with the locked build backend
        flags = ["--no-deps", "--no-build-isolation", "--offline"]
        _run([*uv, "install", "--python", python, *flags, "--editable", str(ROOT / "model")])
    _STAMP.write_text(json.dumps({"set": name, "digest": _digest(name)}), encoding="utf-8")
    _UNFINISHED.unlink()
    progress.done(f"requirements/{name}.lock is in .venv")


def _create() -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    _UNFINISHED.touch()
    try:
        _run([sys.executable, "-m", "venv", str(VENV)])
    except CliError as error:
        raise CliError(f"{error}; on Debian and Ubuntu: apt-get install python3-venv") from None


def _run(command: list[str]) -> None:
    """Run an installer; its output is shown only if it fails."""
    detail(f"running {shlex.join(command)}")
    done = subprocess.run(  # noqa: S603
        command, env=uv_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CliError(f"{' '.join(command[1:5])} … failed: {words}")


def main() -> None:
    """`python3 -m cli.virtualenv SET`."""
    try:
        ensure(sys.argv[1] if len(sys.argv) > 1 else SETS[0])
    except ToolError as error:
        sys.exit(f"python: {error}")


if __name__ == "__main__":
    run(main)
