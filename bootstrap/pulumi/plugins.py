"""The engine's plugins for Kubernetes, downloaded by Pulumi or built from Go modules, and for AWS, downloaded.

Pulumi looks for plugins below PULUMI_HOME; one built here is linked there from the user's cache. Left to itself, each
of its commands would fetch, or try to, the plugin of every package that is installed, whether the stack uses it or not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bootstrap import BootstrapError
from bootstrap.cache import exclusive, keep, workspace
from bootstrap.console import say
from bootstrap.go_build import Module, compile_module, source_of
from bootstrap.pulumi.kept import pulumi_cache

KUBERNETES = "4.25.0"
"""The plugin's release; the Python package `pulumi-kubernetes` is pinned to the same."""

AWS = "7.51.1"
"""The plugin's release; the Python package `pulumi-aws` is pinned to the same."""
FETCH_NOTHING = {
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    # It asks pip which packages there are, and pip asks its index for a newer pip.
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
"""Variables with which the engine fetches nothing by itself, and asks nobody."""

_PROGRAM = "pulumi-resource-kubernetes"
_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_FOLDER = Path(__file__).parent / "go" / "kubernetes"
_EMBEDDED = ("schema.json", "terraform-mapping.json")


def install_kubernetes(home: Path, engine: Path, source: str = "") -> Path:
    """Install the plugin below PULUMI_HOME `home` for the engine in a folder; return the program.

    `source` limits the choice to "download" or "build". Raises BootstrapError naming the remedy.
    """
    program = home / "plugins" / f"resource-kubernetes-v{KUBERNETES}" / _PROGRAM
    if program.exists():
        return program
    kept = pulumi_cache() / f"kubernetes-{KUBERNETES}"
    with exclusive(kept.with_name("kubernetes.lock"), "preparing the plugin for Kubernetes"):
        if not kept.exists():
            if source != "build" and _fetched(home, engine, "kubernetes", KUBERNETES):
                return program
            if source == "download":
                raise BootstrapError(
                    "Pulumi's plugin for Kubernetes cannot be downloaded", remedy="set ENGINE_SOURCE=build"
                )
            _build(kept)
        program.parent.mkdir(parents=True, exist_ok=True)
        program.unlink(missing_ok=True)  # a dangling link into a cleared cache
        program.symlink_to(kept / _PROGRAM)
    return program


def fetch_aws(home: Path, engine: Path) -> None:
    """Let Pulumi fetch its plugin for AWS, unless it is there or on PATH; if it cannot, say so, as the engine will."""
    there = home / "plugins" / f"resource-aws-v{AWS}"
    if not there.exists() and not shutil.which("pulumi-resource-aws"):
        say(f"engine: fetching Pulumi's plugin for AWS, {AWS}: a large download, once")
        _fetched(home, engine, "aws", AWS)


def _fetched(home: Path, engine: Path, name: str, version: str) -> bool:
    """Let Pulumi fetch its own release; without internet access it gives up within seconds."""
    command = [str(engine / "pulumi"), "plugin", "install", "resource", name, version]
    settings = {"PULUMI_HOME": str(home), **FETCH_NOTHING}
    done = subprocess.run(  # noqa: S603
        command, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().rpartition("error: ")[2]
        say(f"engine: no download of pulumi-resource-{name}: {said}")
    return done.returncode == 0


def _build(target: Path) -> None:
    source = source_of(_MODULE, _FOLDER) / "cmd" / _PROGRAM
    module = Module(
        folder=_FOLDER,
        title=f"{_PROGRAM} {KUBERNETES}",
        programs=(_PROGRAM,),
        linked=(f"{_MODULE}/pkg/version.Version={KUBERNETES}",),
        embedded={name: source / name for name in _EMBEDDED},
        expected="about 10 minutes the first time on two cores",
    )
    with workspace(target) as folder:
        made = folder / "bin"
        made.mkdir(exist_ok=True)
        compile_module(module, made)
        keep(made, target)
