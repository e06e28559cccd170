"""`make up`: environment, engine, state, `pulumi up`, and a question to what was deployed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap import ToolError
from bootstrap.console import duration, run, say
from cli import ROOT, CliError
from cli.question import QUESTION, NoAnswerError, ask
from cli.stack import POLICIES, Stack
from cli.stack_files import add_stack
from cli.state import prepare
from cli.virtualenv import VENV

if TYPE_CHECKING:
    from collections.abc import Sequence

# The report below shows the outputs that matter to a reader.
_UPDATE = (
    "up",
    "--yes",
    "--skip-preview",
    "--suppress-outputs",
    *POLICIES,
)


_FIRST_STEPS = """\
make up brings {name} up
  .venv from locked packages (first time: about a minute)
  the Pulumi engine (first time: a download of 100 MB, or a build of about 6 minutes; then cached)"""


def up(name: str, scenario: str = "") -> None:
    """Bring the stack up from whatever state an earlier run left, and show that it answers.

    `scenario` is for a stack that has no file yet.
    """
    begun, review = time.monotonic(), os.environ.get("REVIEW", "")
    if scenario and add_stack(name, scenario):
        say(
            f"stacks/Pulumi.{name}.yaml: created from the settings of {scenario}, with its own folders and ports"
        )
    say(_FIRST_STEPS.format(name=name))
    ready = prepare(name)
    say(f"  {ready.scenario.announcement}")
    stack = Stack(name=name, environment=ready.environment, in_cloud=ready.scenario.in_cloud)
    stack.create()
    if review:
        _check(review, stack)
    stack.recover()
    stack.pulumi(*_UPDATE)
    changed = _changed(stack)
    outputs = stack.outputs()
    if "endpoint" not in outputs:  # it exports a release and serves nothing
        _end(name, begun, _report(outputs), changed=changed)
        return
    try:
        answer, release = ask(outputs)
    except NoAnswerError as error:
        say(f"{error}, although pulumi up has succeeded (rebooted or changed by hand?); repairing")
        stack.pulumi("refresh", "--yes", "--skip-preview")
        stack.pulumi(*_UPDATE)
        changed = True
        outputs = stack.outputs()
        answer, release = ask(outputs)
    asked = [
        f"  question  {QUESTION}",
        *textwrap.wrap(answer, 100, initial_indent="  answer    ", subsequent_indent="            "),
    ]
    _end(name, begun, _report({"release": release} | outputs, asked), changed=changed)


def _check(review: str, stack: Stack) -> None:
    """Go on only if what was reviewed is what would be applied. Raises CliError."""
    command = [
        str(VENV / "bin" / "python"),
        "-m",
        "previews.review",
        str(Path(review).absolute()),
        stack.name,
    ]
    state = json.dumps(stack.deployment())
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, input=state, stderr=subprocess.PIPE, text=True, check=False
    )
    said = (done.stderr.strip().splitlines() or ["it could not be checked"])[-1]
    if done.returncode:
        raise CliError(f"nothing was applied: {said}")
    say(said)


def _end(name: str, begun: float, report: str, *, changed: bool) -> None:
    print(report)
    stack = "" if name == "s3-local" else f" STACK={name}"
    say(
        f"{name} is up{'' if changed else ', unchanged'}, after {duration(time.monotonic() - begun)}. "
        f'Plain pulumi: eval "$(make -s env{stack})". Remove it all: make down{stack}.'
    )


def _changed(stack: Stack) -> bool:
    """Whether the latest update changed anything; the state itself differs each time, as its secrets are
    re-encrypted."""
    updates = stack.ask("stack", "history", "--json", "--page-size", "1")
    return any(operation != "same" for operation in updates[0].get("resourceChanges") or {})


def _report(outputs: dict[str, Any], asked: Sequence[str] = ()) -> str:
    release = outputs.get("release") or "not known yet: run pulumi refresh once the job has ended"
    place = "endpoint" if "endpoint" in outputs else "release_uri"
    lines = [
        "",
        *asked,
        f"  release   {release}",
        *_gate(outputs.get("evaluation")),
        f"  {'endpoint' if place == 'endpoint' else 'in':<8}  {outputs.get(place)}",
        "",
    ]
    return "\n".join(lines)


def _gate(evaluation: object) -> list[str]:
    """Print the gate's figures, in bits per byte: lower is better."""
    if not isinstance(evaluation, dict):
        return []
    lines: list[str] = []
    for key, what in (("new_domain", "held-out topics"), ("old_domain", "general text")):
        found = evaluation.get(key)
        if isinstance(found, dict) and "parent" in found and "candidate" in found:
            interval = found.get("interval")
            spread = f" (difference {interval[0]:+.4f} to {interval[1]:+.4f})" if interval else ""
            text = f"{what}: {found['parent']:.4f} -> {found['candidate']:.4f} bits per byte{spread}"
            lines.append(f"  {'gate' if not lines else '':<8}  {text}")
    return lines


def main() -> None:
    """`python3 -m cli.up STACK [SCENARIO]`."""
    try:
        up(*sys.argv[1:3])
    except ToolError as error:
        sys.exit(f"make up: {error}")
    except KeyboardInterrupt:
        sys.exit(f"make up: interrupted; run it again in {ROOT} to resume")


if __name__ == "__main__":
    run(main)
