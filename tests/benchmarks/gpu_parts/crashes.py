from __future__ import annotations

import os
import signal
from typing import Any


def run(context: Any) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}
