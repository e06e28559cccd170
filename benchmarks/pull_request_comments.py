"""What reviewers read of twelve changes: our comment beside that of pulumi/actions, each as it is posted.

    python -m benchmarks.pull_request_comments ACTION [--json FILE]

ACTION: `dist/index.js` of <https://github.com/pulumi/actions>, built as its package.json says. It runs as a workflow
runs it, against a stand-in for GitHub's API, in the room where our previews run: elsewhere it would need each stack's
passphrase and accounts of the clouds. Once with its defaults, once with `diff: true`.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bootstrap.pulumi.__main__ import find_engine
from previews.comment import comment
from previews.events import changes_of
from previews.sandbox import Sandbox
from previews.states import moved
from stacks.scenarios import SCENARIOS
from tests.previews.cases import twelve
from tests.previews.conftest import ROOT, Stacks, changed_program, verdict_of
from tests.previews.faithful import said_by_the_engine
from tests.previews.github import TOKEN, GitHub, served

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.previews.cases import Case

_SWITCHES = (
    *("upsert", "remove", "edit-pr-comment", "always-include-summary", "expect-no-changes", "refresh"),
    *(
        "exclude-dependents",
        "target-dependents",
        "exclude-protected",
        "suppress-outputs",
        "suppress-progress",
    ),
    *("continue-on-error", "log-flow", "debug", "comment-on-summary"),
)


def theirs(
    action: Path, case: Case, root: Path, state: Mapping[str, Any], folder: Path, *, diff: bool
) -> str:
    """The comment of pulumi/actions on a change; what it says instead, if it posts none."""
    work = folder / "work"
    work.mkdir()
    state = moved(copy.deepcopy(dict(state)), str(ROOT), str(work))
    for each in state["resources"]:
        if (
            each["type"] == "pulumi:pulumi:Stack"
        ):  # it asks for outputs, and could not read those that are secret
            each["outputs"] = {}
    states: dict[str, Mapping[str, Any]] = {**{name: {} for name in SCENARIOS}, case.stack: state}
    room = Sandbox(root, folder / "room", find_engine(""), states)
    for each in root.iterdir():
        if each.name != "stacks":
            (work / each.name).symlink_to(each)
    shutil.copytree(root / "stacks", work / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
    file = work / "stacks" / f"Pulumi.{case.stack}.yaml"
    content = yaml.safe_load(file.read_text())
    if case.change:
        case.change(content["config"])
    file.write_text(yaml.safe_dump(content))
    shutil.copy(room.sealed(file)[0], file)
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    given = dict.fromkeys(_SWITCHES, "false") | {
        "command": "preview",
        "stack-name": case.stack,
        "work-dir": str(work),
        "cloud-url": room.environment["PULUMI_BACKEND_URL"],
        "github-token": TOKEN,
        "comment-on-pr": "true",
        "color": "never",
        "diff": str(diff).lower(),
    }
    github = GitHub()
    with served(github) as repository:
        done = subprocess.run(
            ["node", str(action)],
            cwd=work,
            env=room.environment
            | {f"INPUT_{name.upper()}": value for name, value in given.items()}
            | {
                "GITHUB_API_URL": repository.api,
                "GITHUB_REPOSITORY": repository.name,
                "GITHUB_EVENT_NAME": "pull_request",
                "GITHUB_EVENT_PATH": str(event),
                "GITHUB_WORKSPACE": str(work),
                "RUNNER_TEMP": str(folder),
                "RUNNER_TOOL_CACHE": str(folder),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    return (
        "\n".join(each["body"] for each in github.comments)
        or f"no comment: {(done.stdout + done.stderr)[-3000:]}"
    )


def read(text: str, case: Case) -> dict[str, Any]:
    """What a reviewer finds in a comment."""
    found = [each for each in case.to_read if each in text]
    return {"characters": len(text), "to read": f"{len(found)} of {len(case.to_read)}"}


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        stacks = Stacks(top)
        for number, (name, case) in enumerate(twelve(top).items()):
            state = copy.deepcopy(stacks.state(case.stack))
            if case.before:
                case.before(state)
            folder = top / str(number)
            folder.mkdir()
            root = changed_program(folder / "program", *case.program) if case.program else ROOT
            previewed = stacks.previewed(case.stack, state, case.change, root)
            verdict = verdict_of(case.stack, changes_of(previewed))
            whole, doubtful = said_by_the_engine(previewed.events)
            row: dict[str, Any] = {
                "engine": len(whole),
                "of unknown values alone": len(doubtful),
                "ours": read(comment([verdict]), case) | {"changes": len(verdict.changes.changing)},
            }
            for kind, diff in (("theirs", False), ("theirs, diff", True)):
                (folder / kind).mkdir()
                text = theirs(options.action.absolute(), case, root, state, folder / kind, diff=diff)
                row[kind] = read(text, case)
                if options.json:
                    options.json.with_name(f"{options.json.stem}-{number}-{kind}.md").write_text(text)
            told[name] = row
            print(name, json.dumps(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
