"""A page in a real browser, by a script for Node.js that opens it and says as JSON what it has seen."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.model.serve.test_client_libraries import prepared

if TYPE_CHECKING:
    from pathlib import Path

_INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def look(cache: Path, scripts: Path, home: Path, *arguments: str | Path, told: str = "") -> dict[str, Any]:
    """Run `look.js` of a folder of scripts, with `told` on its standard input; return what it has seen."""
    chromium, node = shutil.which("chromium"), shutil.which("node")
    if not (chromium and node):
        pytest.skip("needs chromium and node: apt-get install chromium nodejs npm")
    done = subprocess.run(
        [node, prepared(cache, scripts, *_INSTALL) / "look.js", *arguments],
        input=told,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "CHROMIUM": chromium},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert isinstance(seen, dict)
    return seen
