"""`python -m benchmarks.gpu`: the GPU check. What a GPU machine alone can show, in at most eight minutes.

No network, nothing but torch, transformers and, for LoRA, peft. Parts run most valuable first, each in a
process of its own with a time limit of its own; one that fails is recorded with its reason and the next one
runs. `results.json` in the output folder is replaced after each part, recordings lie beside it, and a table
for benchmarks/README.md is printed at the end. Progress goes to standard error. Without a GPU everything
runs on the CPU, with small shapes.

Exit code 0 if every part ran to its end, 1 if one failed or ran out of time: figures below their aims do not
count as failures. 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.gpu import machine
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.context import Context, write_json
from benchmarks.gpu.isolated import run_part
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.report import heading, table

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True, kw_only=True)
class Check:
    """A GPU check: where results go, and what they are so far."""

    out: Path
    device: str
    budget: Budget
    results: dict[str, Any]

    def run(self, parts: Sequence[Part]) -> None:
        """Run the parts, one after the other, and write `results.json` after each."""
        with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
            for part in parts:
                self.results["parts"][part.name] = self._one(part, Path(scratch))
                self.write()
        self.results["finished"] = True
        self.write()

    def write(self) -> None:
        """Replace `results.json`."""
        self.results["seconds"] = round(self.budget.elapsed(), 1)
        write_json(self.out / "results.json", self.results)

    def _one(self, part: Part, scratch: Path) -> dict[str, Any]:
        limit = self.budget.limit(part.limit_s(self.device))
        if not limit:
            reason = f"the budget of {self.budget.total_s:.0f} s is spent; raise --minutes or use --only"
            self.say(f"{part.name}: skipped, {reason}")
            return {"status": "skipped", "seconds": 0.0, "limit_s": 0.0, "reason": reason, "result": None}
        self.say(f"{part.name}: {part.what}, at most {limit:.0f} s")
        context = Context(
            part=part.name,
            device=self.device,
            out=self.out,
            scratch=scratch,
            deadline=time.monotonic() + limit,
        )
        outcome = run_part(part, context, self.say)
        why = f": {outcome['reason']}" if outcome["reason"] else ""
        self.say(f"{part.name}: {outcome['status']} after {outcome['seconds']} s{why}")
        return outcome

    def say(self, text: str) -> None:
        """One line of progress, with the time used and left."""
        spent, left = self.budget.elapsed(), self.budget.remaining()
        print(f"[{spent:5.1f} s, {left:5.1f} s left] {text}", file=sys.stderr, flush=True)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [part.name for part in PARTS]
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/gpu"), help="folder for results")
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names)
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything together (default: 8)")
    parser.add_argument("--device", choices=["cuda", "cpu"], help="default: cuda if torch sees a GPU")
    wanted = parser.parse_args(argv)
    if not 0 < wanted.minutes <= 24 * 60:
        parser.error(f"invalid --minutes {wanted.minutes:g}: not between 0 and 1440; the default is 8")
    return wanted


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check; returns the exit code."""
    wanted = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    budget = Budget(wanted.minutes * 60)
    asked = {} if wanted.device == "cpu" else machine.ask_torch()
    device = wanted.device or ("cuda" if asked.get("names") else "cpu")
    out = wanted.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device,
        "minutes": wanted.minutes,
        "machine": machine.describe(asked),
        "finished": False,
        "seconds": 0.0,
        "parts": {},
    }
    check = Check(out=out, device=device, budget=budget, results=results)
    check.run([part for part in PARTS if part.name in wanted.only])
    print(f"{heading(results)}\n\n{table(results)}\n\n{out / 'results.json'}")
    return 0 if all(part["status"] == "done" for part in results["parts"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
