"""Kubeconfigs that Pulumi's Kubernetes provider writes to temporary files, one for each run, and leaves there.

They have the cluster's credentials. Source: writeKubeconfigToFile in pulumi-kubernetes, provider/pkg/provider/util.go.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextlib.contextmanager
def swept(environment: Mapping[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """Give a run a folder of its own for temporary files, and remove kubeconfigs from it, those of killed runs too.

    The folder itself stays: what the run has started may still use it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield {**environment, "TMPDIR": str(folder)}
    finally:
        for left in folder.glob("kubeconfig*"):
            left.unlink(missing_ok=True)
