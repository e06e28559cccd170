"""The engine's Kubernetes plugin: downloaded by Pulumi itself if possible, else built from Go modules.

Pulumi looks for plugins below PULUMI_HOME; one built here is linked there from the user's cache.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bootstrap import BootstrapError
from bootstrap.cache import exclusive, keep, workspace
from bootstrap.console import say
from bootstrap.go_build import Module, compile_module, source_of
from bootstrap.pulumi.kept import pulumi_cache

KUBERNETES = "4.25.0"
"""The plugin's release; the Python package `pulumi-kubernetes` is pinned to the same."""

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
            if source != "build" and _fetched(home, engine):
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


def _fetched(home: Path, engine: Path) -> bool:
    """Let Pulumi fetch its own release; without internet access it gives up within seconds."""
    command = [str(engine / "pulumi"), "plugin", "install", "resource", "kubernetes", KUBERNETES]
    settings = {"PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    done = subprocess.run(  # noqa: S603
        command, env=os.environ | settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        say(f"engine: no download of {_PROGRAM}: {done.stderr.strip().rpartition('error: ')[2]}")
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
