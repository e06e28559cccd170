"""kubectl, as the lab itself calls it."""

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
    """A kubectl and the cluster that it speaks to."""

    program: Path
    kubeconfig: Path

    def __call__(self, *arguments: str, stdin: str = "", timeout_s: float = 60.0) -> str:
        """Run it to its end and return its output. Raises LabError with its last words."""
        # Its cache goes with the cluster, and is no file of the caller's home or folder.
        cache = f"--cache-dir={self.kubeconfig.parent / 'kubectl-cache'}"
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", cache, *arguments]
        return run(command, stdin=stdin, timeout_s=timeout_s)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what `kubectl get -o json` tells."""
        told: dict[str, Any] = json.loads(self("get", *arguments, "-o", "json"))
        return told

    def apply(self, objects: Sequence[dict[str, Any]]) -> None:
        """Make these objects so, or change them until they are."""
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=as_list(objects))

    def succeeds(self, *arguments: str, stdin: str = "", timeout_s: float = 10.0) -> bool:
        """Run it and say whether it ended well; for what may rightly fail."""
        try:
            self(*arguments, stdin=stdin, timeout_s=timeout_s)
        except LabError:
            return False
        return True


def as_list(objects: Sequence[dict[str, Any]]) -> str:
    """Write objects as one document that kubectl reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
