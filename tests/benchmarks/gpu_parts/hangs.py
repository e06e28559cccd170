from __future__ import annotations

import subprocess
import time
from typing import Any

from benchmarks.gpu.context import figure


def run(context: Any) -> dict[str, Any]:
    context.note({"figures": [figure("half", 1.0)]})
    child = subprocess.Popen(["sleep", "100"])
    context.record("child", str(child.pid))
    time.sleep(100)
    return {}
