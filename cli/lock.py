"""`make lock`: re-pin every dependency, with hashes, for every platform."""

from __future__ import annotations

import subprocess
import sys

from bootstrap.console import run, say
from cli import ROOT
from cli.virtualenv import VENV

# dev first: the others are subsets of it and must use the same versions, except vLLM and the peers of our drift
# detectors, which have environments of their own.
_SETS = (
    "dev",
    "control",
    "cloud",
    "lab",
    "model",
    "efa",
    "bench",
    "foundation",
    "envoy",
    "uv",
    "vllm",
    "drift-peers",
)
_APART = {"dev", "foundation", "envoy", "uv", "vllm", "drift-peers"}
# Packages of which only the files count.
_DATA = {"efa", "foundation", "envoy"}


def main() -> None:
    """Compile each `requirements/<set>.in` into its lock; no host name gets into the lock."""
    for name in _SETS:
        source, lock = f"requirements/{name}.in", f"requirements/{name}.lock"
        flags = ["--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"]
        flags += ["--python-version", "3.11", "--quiet", "--upgrade"]
        flags += ["--no-deps"] if name in _DATA else []
        flags += ["--constraint", "requirements/dev.lock"] if name not in _APART else []
        say(f"{source} -> {lock}")
        command = [str(VENV / "bin" / "uv"), "pip", "compile", *flags, "--output-file", lock, source]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        if done.returncode:
            sys.exit(f"make lock: {source} could not be resolved; see the output above")


if __name__ == "__main__":
    run(main)
