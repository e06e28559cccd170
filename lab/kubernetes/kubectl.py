"""The lab's own calls of kubectl."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab import LabError
from lab.commands import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kubectl:
    """A kubectl and its cluster."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str = "", timeout_s: float = 60.0) -> str:
        """Run it and return its output. Raises LabError with its last output."""
        # Its cache is removed with the cluster, and not in the caller's home.
        cache = f"--cache-dir={self.kubeconfig.parent / 'kubectl-cache'}"
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", cache, *arguments]
        return run(command, stdin=stdin, timeout_s=timeout_s)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return the result of `kubectl get -o json`."""
        told: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return told

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Create or update these objects."""
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=as_list(objects))

    def succeeds(self, *arguments: str, stdin: str = "", timeout_s: float = 10.0) -> bool:
        """Run it and return whether it succeeded; for commands that may fail."""
        try:
            self(*arguments, stdin=stdin, timeout_s=timeout_s)
        except LabError:
            return False
        return True


def as_list(objects: Sequence[dict[str, Any]]) -> str:
    """Write objects as one document for kubectl."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
