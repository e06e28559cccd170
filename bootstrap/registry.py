"""Where Python packages come from: passes pip's configuration to uv, which does not read pip's files."""

from __future__ import annotations

import os
import subprocess
import sys

from bootstrap.pulumi.bundled import bundle


def uv_environment() -> dict[str, str]:
    """Return the environment to run uv and pip in, whatever virtual environment is active.

    With a bundle, packages come only from there. Raises BootstrapError if it does not match its signature.
    """
    environment = {**os.environ, "UV_NO_PROGRESS": "1"}
    environment.pop("VIRTUAL_ENV", None)
    if part := bundle():
        wheels = str(part / "wheels")
        # `--no-index` alone does not stop uv from contacting an index; offline mode does.
        return (
            environment
            | {"UV_OFFLINE": "1"}
            | {
                f"{tool}_{name}": value
                for tool in ("PIP", "UV")
                for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", wheels))
            }
        )
    if "UV_DEFAULT_INDEX" not in environment and (index := _pip_index()):
        environment["UV_DEFAULT_INDEX"] = index
    return environment


def _pip_index() -> str:
    if "PIP_INDEX_URL" in os.environ:
        return os.environ["PIP_INDEX_URL"]
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""
