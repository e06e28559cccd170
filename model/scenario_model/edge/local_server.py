"""The site's own server, as the agent sees it: what it serves, and how it is told to serve something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from scenario_model.atomic_io import write_text

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = httpx2.Timeout(10.0)


class LocalServer:
    """A server that follows a file: it restarts with the release that the file names."""

    def __init__(self, url: str, follow: Path) -> None:
        """`url`: on this host, so its certificate, which is for clients' names, is not checked; no secret is sent."""
        self._url, self._follow = url.rstrip("/"), follow

    def told(self) -> str:
        """The release that it was told to serve; empty if none."""
        return self._follow.read_text(encoding="utf-8").strip() if self._follow.is_file() else ""

    def tell(self, release: str) -> None:
        """Let it serve this release."""
        self._follow.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._follow, f"{release}\n")

    def ready(self) -> str:
        """The release that it is ready with; empty if it is not."""
        try:
            with httpx2.Client(verify=False, timeout=_SECONDS, trust_env=False) as client:
                answer = client.get(f"{self._url}/readyz")
        except httpx2.HTTPError:
            return ""
        return str(answer.headers.get("x-release", "")) if answer.is_success else ""
