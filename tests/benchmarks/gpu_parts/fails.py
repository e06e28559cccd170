from __future__ import annotations

from typing import Any


def run(context: Any) -> dict[str, Any]:
    raise ValueError("no such thing")
