"""The engine from source, for machines that reach package registries only.

The CLI and the language host are two modules because the host left the SDK module long before this CLI: one
module cannot require both versions of the SDK. See `docs/decisions/0020-engine-bootstrap.md`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bootstrap.cache import keep, workspace
from bootstrap.go_build import Module, compile_module, source_of
from bootstrap.pulumi import VERSION
from bootstrap.pulumi.kept import kept

_MODULES = Path(__file__).parent / "go"
_SDK = "github.com/pulumi/pulumi/sdk/v3"
_STAMP = (f"{_SDK}/go/common/version.Version=v{VERSION}",)

# Build tags and linker flags are those of the official release.
_CLI = Module(
    folder=_MODULES / "cli",
    title=f"pulumi {VERSION}",
    programs=("pulumi",),
    tags="osusergo",
    linked=_STAMP,
    expected="about 6 minutes the first time on two cores",
)
_HOST = Module(
    folder=_MODULES / "host",
    title=f"pulumi-language-python {VERSION}",
    programs=("pulumi-language-python",),
    tags="osusergo,grpcnotrace",
    linked=_STAMP,
    expected="about half a minute the first time",
)
_SCRIPTS = ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python")


def build() -> Path:
    """Return the folder of an engine compiled here. Raises BootstrapError naming what is missing."""
    target = kept("build")
    with workspace(target) as folder:
        made = folder / "bin"
        made.mkdir(exist_ok=True)
        for module in (_CLI, _HOST):
            compile_module(module, made)
        sdk = source_of(_SDK, _CLI.folder)
        for script in _SCRIPTS:
            copy = made / Path(script).name
            copy.unlink(missing_ok=True)
            shutil.copyfile(sdk / script, copy)
            copy.chmod(0o755)
        return keep(made, target)
