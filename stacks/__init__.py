"""The scenarios' programs. Their settings embed the model package's, which is imported from this tree."""

from __future__ import annotations

import sys
from pathlib import Path

_MODEL = str(Path(__file__).resolve().parent.parent / "model")
if _MODEL not in sys.path:
    sys.path.insert(0, _MODEL)
