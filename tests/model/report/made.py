"""Reports, as servers make them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from scenario_model.observe.windows import Window
from scenario_model.report import drift_report

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = f"assistant@sha256:{'a' * 64}"
OTHER = f"assistant@sha256:{'b' * 64}"
START = 1_790_000_000.0
BEFORE = datetime.fromtimestamp(START, UTC) - timedelta(days=1)
"""When a certificate has to be made to be valid for these windows."""


def window(number: int, evidence: float = 2.0, *, release: str = RELEASE, both: bool = True) -> Window:
    """A window of a quarter of an hour in which one detector, or both, have found evidence."""
    second = evidence if both else 0.5
    return Window(
        start=START + 900 * number,
        seconds=900,
        release=release,
        answered=40,
        refused=0,
        failed=0,
        units=16,
        first_token_ms=(8.0, 20.0),
        signals=[("changed", evidence, 40_000.0), ("novel", second, 40_000.0)],
        asks="retraining" if evidence >= 40_000 and both else "nothing",
    )


def asking(count: int = 3, *, release: str = RELEASE) -> list[Window]:
    """Windows of a release, the last of which ask for retraining."""
    return [window(0, release=release)] + [
        window(1 + number, 50_000, release=release) for number in range(count)
    ]


def written(path: Path, tls: Path, windows: list[Window] | None = None, release: str = RELEASE) -> Path:
    """A report that the server whose key is in a folder has signed."""
    report = drift_report.of_windows(windows or asking(release=release), release, 10_000)
    path.write_bytes(drift_report.signed(report, tls / "server.pem", tls / "server.key"))
    return path
