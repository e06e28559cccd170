"""`python -m previews.drifted STACK ...`: what differs from what was deployed, as one issue that is kept up to date.

For a scheduled job that has the stacks' credentials. It asks the real providers and hosts, and changes nothing: the
engine's `refresh --preview-only`. Of what differs it names resources and properties, and values only by the list of
previews. When nothing differs any more, the issue is closed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap import ToolError
from bootstrap.console import run, say
from cli import ROOT
from cli.stack import Stack
from cli.state import prepare
from previews import PreviewError
from previews.events import Difference, differences, error_of, read_events, resources_in
from previews.github import Repository, harmless

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MARK = "<!-- model-deployment-scenarios: drift -->"
TITLE = "Stacks differ from what was deployed"
_DYNAMIC = "pulumi-python:dynamic:"
_MOST, _PATHS, _SECONDS = 100, 12, 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """A resource that is gone, or of which these properties differ from what was deployed."""

    name: str
    type: str
    gone: bool
    properties: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a stack's refresh found. `error`: why it could not be looked at; empty if it was."""

    stack: str
    resources: tuple[Drifted, ...] = ()
    error: str = ""


def look(stack: str, environment: Mapping[str, str], project: Path = ROOT) -> Found:
    """Compare a project's stack with the world, in an environment that `pulumi` runs in. Nothing is changed."""
    # No program needs the job's right to write; without PULUMI_DEBUG_COMMANDS there is no --event-log.
    own = {name: value for name, value in environment.items() if name != "GITHUB_TOKEN"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "events"
        command = ["pulumi", "refresh", "--preview-only", "--stack", stack, "--non-interactive"]
        try:
            done = subprocess.run(  # noqa: S603 the engine, and a stack's name
                [*command, "--event-log", str(log)],
                cwd=project,
                env=own | {"PULUMI_DEBUG_COMMANDS": "true"},
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            return found_in(stack, read_events(log, done.stderr))
        except subprocess.TimeoutExpired:
            return Found(stack=stack, error=f"it did not end within {_SECONDS // 60} minutes")
        except PreviewError:
            return Found(stack=stack, error=_ask_there(stack))


def look_at_own(name: str) -> Found:
    """Compare a stack of this project, where its state is. Raises ToolError if it cannot be prepared."""
    stack = Stack(name=name, environment=prepare(name).environment)
    if not stack.exists:
        return Found(
            stack=name, error="the backend does not have it: set PULUMI_BACKEND_URL to the one that does"
        )
    return look(name, stack.full_environment())


def found_in(stack: str, events: Sequence[Mapping[str, Any]]) -> Found:
    """Read what the engine said of a refresh."""
    resources = []
    for metadata in resources_in(events, "resOutputsEvent"):
        gone, kind = metadata["op"] == "delete", str(metadata["type"])
        properties = () if gone else differences(metadata, "outputs")
        # The engine calls a resource of a program of its own the same whatever its outputs are.
        if gone or metadata["op"] == "update" or (properties and kind.startswith(_DYNAMIC)):
            name = str(metadata["urn"]).rpartition("::")[2]
            resources.append(Drifted(name=name, type=kind, gone=gone, properties=properties))
    return Found(stack=stack, resources=tuple(resources), error=_ask_there(stack) if error_of(events) else "")


def _ask_there(stack: str) -> str:
    # What the engine or a provider says may hold a secret, and an issue or a job's log may be public.
    return f"`pulumi refresh --preview-only --stack {stack}` says why, where it is deployed"


def issue_text(found: Iterable[Found]) -> str:
    """The issue's text; empty if nothing differs."""
    parts = []
    for each in found:
        if each.error:
            parts.append(f"## {each.stack}\n\nCould not be looked at: {each.error}.\n")
        elif each.resources:
            lines = [_line(resource) for resource in each.resources[:_MOST]]
            if len(each.resources) > _MOST:
                lines.append(f"- and {len(each.resources) - _MOST} more")
            parts.append(f"## {each.stack}\n\n" + "\n".join(lines) + "\n")
    if not parts:
        return ""
    told = "Found by `pulumi refresh --preview-only`; nothing was changed. To bring back what was deployed: "
    return f"{MARK}\n{told}`pulumi up --refresh`.\n\n" + "\n".join(parts)


def tell(repository: Repository, text: str) -> str:
    """Open, renew or close the issue; return what was done. Raises PreviewError."""
    former = repository.of_bot("issues?state=open", MARK)
    if not text:
        if former is None:
            return "nothing differs"
        number = former["number"]
        repository.ask("POST", f"issues/{number}/comments", {"body": "Nothing differs any more."})
        repository.ask("PATCH", f"issues/{number}", {"state": "closed"})
        return f"nothing differs any more: closed #{number}"
    body = harmless(text, MARK)
    if former is None:
        return f"opened #{repository.ask('POST', 'issues', {'title': TITLE, 'body': body})['number']}"
    if former["body"] != body:
        repository.ask("PATCH", f"issues/{former['number']}", {"body": body})
    return f"#{former['number']} says what differs"


def _line(resource: Drifted) -> str:
    what = f"- `{resource.name}` ({resource.type})"
    if resource.gone:
        return f"{what} is **gone**"
    shown = [each.shown() for each in resource.properties[:_PATHS]]
    more = len(resource.properties) - len(shown)
    return f"{what}: {', '.join(shown) or 'differs'}{f' and {more} more' if more > 0 else ''}"


def main() -> None:
    """Look at the stacks that are named; tell GitHub if this is a workflow, else print. Exit 1: one cannot be."""
    stacks = sys.argv[1:]
    if not stacks:
        sys.exit("previews.drifted: name the stacks to look at, such as s3-local")
    try:
        found = []
        for stack in stacks:
            say(f"looking at {stack}")
            found.append(look_at_own(stack))
        text = issue_text(found)
        if os.environ.get("GITHUB_REPOSITORY"):
            say(tell(Repository.of_workflow(), text))
        else:
            print(text or "nothing differs")
    except ToolError as error:
        sys.exit(f"previews.drifted: {error}")
    sys.exit(any(each.error for each in found))


if __name__ == "__main__":
    run(main)
