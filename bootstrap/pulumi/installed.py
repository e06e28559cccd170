"""An engine that is already installed: on PATH, or in the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bootstrap.console import say
from bootstrap.pulumi import MINIMUM, PROGRAMS, VERSION
from bootstrap.versions import version_of


def release_of(pulumi: Path) -> tuple[int, ...] | None:
    """Return the release of a `pulumi`; None if it does not run."""
    try:
        # It writes a log into its home, which is to be nobody's.
        with tempfile.TemporaryDirectory() as home:
            answer = subprocess.run(  # noqa: S603 the caller's own engine
                [pulumi, "version"],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
                env=os.environ | {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_HOME": home},
            )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_of(answer.stdout) if answer.returncode == 0 else None


def on_path() -> Path | None:
    """Find a recent enough engine on PATH; log why one is rejected."""
    pulumi, host = shutil.which("pulumi"), shutil.which("pulumi-language-python")
    if pulumi is None:
        return None
    release = release_of(Path(pulumi))
    if release is None or release < MINIMUM:
        found = "does not run" if release is None else f"is {'.'.join(map(str, release))}"
        say(f"{pulumi} {found}: {'.'.join(map(str, MINIMUM))} or newer is required, so it is not used")
        return None
    if host is None:
        say(f"{pulumi} comes without pulumi-language-python, so it is not used")
        return None
    return Path(pulumi).parent


def intact(folder: Path) -> bool:
    """Whether an engine in the cache is complete and runs."""
    return all((folder / name).is_file() for name in PROGRAMS) and release_of(
        folder / "pulumi"
    ) == version_of(VERSION)
