"""`make up`: environment, engine, state, `pulumi up`, and a question to what was deployed."""

from __future__ import annotations

import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

from bootstrap import ToolError
from bootstrap.console import duration, run, say
from cli import ROOT
from cli.question import QUESTION, NoAnswerError, ask
from cli.stack import Stack
from cli.state import IN_CLOUDS, STATE, prepare
from cli.virtualenv import VENV

if TYPE_CHECKING:
    from collections.abc import Sequence

# The outputs are in the report below, without what is of no use to the eye.
_UPDATE = ("up", "--yes", "--skip-preview", "--suppress-outputs")


_IN_THE_CLOUD = """\
make up brings {name} up: a model is trained in the cloud, and its signed release is left there.
  .venv and the Pulumi engine with its plugin for Kubernetes (first time: minutes)
  pulumi up: what the cloud lacks, then the training job; its steps are shown until it ends"""


def up(name: str) -> None:
    """Bring the stack up, whatever state an earlier run left it in, and show that it answers."""
    begun = time.monotonic()
    say(_announcement(name))
    stack = Stack(name=name, environment=prepare(name))
    stack.create()
    stack.recover()
    stack.pulumi(*_UPDATE)
    changed = _changed(stack)
    outputs = stack.outputs()
    if "endpoint" not in outputs:  # a release goes out, and nothing is served
        _end(name, begun, _report(outputs), changed=changed)
        return
    try:
        answer, release = ask(outputs)
    except NoAnswerError as error:
        say(f"{error}, although pulumi up is done (a reboot? a hand on the services?): mending it")
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


def _end(name: str, begun: float, report: str, *, changed: bool) -> None:
    print(report)
    stack = "" if name == "s3-local" else f" STACK={name}"
    say(
        f"{name} is up{'' if changed else ', unchanged'}, after {duration(time.monotonic() - begun)}. "
        f'Plain pulumi: eval "$(make -s env{stack})". Remove it all: make down{stack}.'
    )


def _announcement(name: str) -> str:
    if name in IN_CLOUDS:
        return _IN_THE_CLOUD.format(name=name)
    first = not (STATE / name).exists()
    steps = [
        f"make up brings {name} up: a real model is trained, released and served here, then asked.",
        "  .venv from locked packages" + ("" if VENV.exists() else " (first time: about a minute)"),
        "  the Pulumi engine (first time: a download of 100 MB, or a build of about 6 minutes; then cached)",
        "  pulumi up: install the model's runtime, train, evaluate, sign, serve"
        + (" (first time: about 10 minutes on two cores)" if first else " (seconds where nothing changed)"),
    ]
    return "\n".join(steps)


def _changed(stack: Stack) -> bool:
    """Whether the latest update did anything; the state itself differs each time, as its secrets are
    encrypted anew."""
    updates = stack.ask("stack", "history", "--json", "--page-size", "1")
    return any(operation != "same" for operation in updates[0].get("resourceChanges") or {})


def _report(outputs: dict[str, Any], asked: Sequence[str] = ()) -> str:
    release = outputs.get("release") or "not known yet: pulumi refresh finds it once the job has ended"
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
    """Tell the gate's figures, in bits per byte: less is better."""
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
    """`python3 -m cli.up STACK`."""
    try:
        up(sys.argv[1])
    except ToolError as error:
        sys.exit(f"make up: {error}")
    except KeyboardInterrupt:
        sys.exit(f"make up: interrupted; run it again in {ROOT} and it goes on")


if __name__ == "__main__":
    run(main)
