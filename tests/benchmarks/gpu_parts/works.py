from __future__ import annotations

import json
from typing import Any


def run(context: Any) -> dict[str, Any]:
    file = context.out / "results.json"
    return {"seen": [*json.loads(file.read_text())["parts"]] if file.exists() else []}
