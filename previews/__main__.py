"""`make preview`: what a change does to every stack, as one comment."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap import ToolError
from bootstrap.console import duration, run, say
from bootstrap.pulumi.__main__ import find_engine
from cli import PROJECT, ROOT
from cli.stack_files import FOLDER, stacks
from previews import PreviewError
from previews.base import Base
from previews.changed import changed_files, concerned
from previews.comment import Verdict, comment
from previews.costs.estimate import before_and_after
from previews.dangers import dangers_of
from previews.events import Changes, changes_of
from previews.review import review_of
from previews.sandbox import Sandbox
from previews.states import at_home, exported_states, own_states
from stacks.scenarios import ScenarioError, scenario_of
from stacks.stack_file import content_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_FAILED = 1


def main() -> None:
    """Write what was found; exit with 1 if a stack cannot be previewed, or breaks a rule that is mandatory."""
    parser = argparse.ArgumentParser(prog="make preview", description=__doc__)
    parser.add_argument(
        "stacks", nargs="*", help="stacks to preview; default: all, or those that BASE concerns"
    )
    parser.add_argument(
        "--base", default="", help="preview the stacks that a change since this commit concerns"
    )
    parser.add_argument(
        "--states", type=Path, help="folder with STACK.json, as `pulumi stack export` prints them"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".state" / "preview", help="where to write")
    options = parser.parse_args()
    try:
        good = preview(options.stacks, base=options.base, states=options.states, out=options.out)
    except ToolError as error:
        sys.exit(f"make preview: {error}")
    sys.exit(0 if good else _FAILED)


def preview(wanted: list[str], *, base: str, states: Path | None, out: Path) -> bool:
    """Preview stacks and write what was found; return whether all is well. Raises ToolError."""
    known = stacks()
    if missing := sorted(set(wanted) - set(known)):
        raise PreviewError(f"no such stack: {', '.join(missing)}", remedy=f"use one of {', '.join(known)}")
    chosen = wanted or known
    if base:
        texts = {stack: _file(stack).read_text(encoding="utf-8", errors="replace") for stack in known}
        concerns = concerned(changed_files(ROOT, base), known, texts)
        chosen = [stack for stack in chosen if stack in concerns]
    engine = find_engine(os.environ.get("ENGINE_SOURCE", ""))
    # Stacks refer to one another, also to those that were never deployed.
    last: dict[str, Mapping[str, Any]] = {stack: {} for stack in known}
    last |= exported_states(states) if states else own_states()
    out.mkdir(parents=True, exist_ok=True)
    verdicts = []
    here = {
        stack: at_home(state, ROOT, _settings(stack).get("premises:root")) for stack, state in last.items()
    }
    with tempfile.TemporaryDirectory(dir=out, prefix="sandbox-") as folder:
        sandbox = Sandbox(ROOT, Path(folder) / "room", engine, here)
        left = Base(ROOT, base, Path(folder) / "base", engine, known) if base and chosen else None
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as together:
            verdicts = list(together.map(lambda stack: _verdict(sandbox, stack, left), chosen))
    text = comment(verdicts) if verdicts else comment([]) + "\nNo stack is concerned.\n"
    (out / "comment.md").write_text(text, encoding="utf-8")
    (out / "changes.json").write_text(json.dumps(_whole(verdicts), indent=1) + "\n", encoding="utf-8")
    say(f"written to {out}: comment.md, changes.json")
    try:
        review = json.dumps(review_of(ROOT, chosen, last), indent=1) + "\n"
        (out / "review.json").write_text(review, encoding="utf-8")
    except PreviewError as error:
        say(f"no review.json, which `make up REVIEW=…` takes: {error}")
    print(text)
    return not any(each.fails for each in verdicts)


def _verdict(sandbox: Sandbox, stack: str, base: Base | None) -> Verdict:
    began = time.monotonic()
    against = bool(base) and not sandbox.knows(stack)
    if base and against:
        sandbox.put(stack, base.state(stack))
    try:
        changes = changes_of(sandbox.preview(stack, _file(stack)))
        changes = replace(changes, against_base=against and not changes.is_new)
    except PreviewError as error:
        changes = Changes(stack=stack, steps=(), outputs={}, error=str(error), is_new=False, uncompared=0)
    say(f"previewed {stack} in {duration(time.monotonic() - began)}")
    settings = _settings(stack)
    try:
        scenario = scenario_of(stack, settings.get(f"{PROJECT}:scenario"))
    except ScenarioError:
        scenario = None
    before, after = None, None
    if scenario and scenario.in_cloud and settings.get("cloud:kind", "aws") == "aws":
        before, after = before_and_after(changes.steps, str(settings.get("aws:region", "")))
    return Verdict(
        scenario=scenario, changes=changes, dangers=dangers_of(changes), before=before, after=after
    )


def _whole(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """All changes, without values that may not be shown."""
    return [
        {
            "stack": each.changes.stack,
            "error": each.changes.error,
            "residency": each.broken,
            "rules": [asdict(said) for said in each.changes.violations],
            "dangers": list(each.dangers),
            "changes": [
                {
                    "kind": step.kind,
                    "type": step.type,
                    "name": step.name,
                    "differences": [difference.shown() for difference in step.differences],
                }
                for step in each.changes.changing
            ],
        }
        for each in verdicts
    ]


def _settings(stack: str) -> Mapping[str, Any]:
    try:
        found = content_of(_file(stack)).get("config") or {}
    except ScenarioError:
        return {}
    return found if isinstance(found, dict) else {}


def _file(stack: str) -> Path:
    return FOLDER / f"Pulumi.{stack}.yaml"


if __name__ == "__main__":
    run(main)
