"""What was reviewed is what is applied: a preview is bound to commit, settings and last state of each stack.

`make preview` writes `review.json`; `make up REVIEW=review.json` goes on only if none of the three has moved since.
Pulumi applies a saved plan to a state that has moved (measured with 3.259).
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bootstrap.console import run, say
from cli import ROOT
from previews import PreviewError
from previews.git import git
from previews.sealed import sealed_state
from stacks.scenarios import ScenarioError
from stacks.stack_file import content_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Pulumi writes its salt there; what they set is compared by itself.
_OWN_FILES = ":(exclude)stacks/Pulumi.*.yaml"
_AGAIN = "preview and review it again"


def review_of(root: Path, stacks: Iterable[str], states: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a review of these stacks is about. Raises PreviewError if git does not say which commit it is."""
    return {
        "commit": git(root, "rev-parse", "HEAD"),
        "clean": not git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", _OWN_FILES),
        "stacks": {
            stack: {"settings": _settings(root, stack), "state": _state(states.get(stack, {}))}
            for stack in stacks
        },
    }


def check(review: Mapping[str, Any], root: Path, stack: str, deployment: Mapping[str, Any]) -> None:
    """Raises PreviewError, naming what moved, if what would be applied is not what was reviewed."""
    try:
        then, commit, clean = review["stacks"].get(stack), review["commit"], review["clean"]
    except (KeyError, TypeError, AttributeError):
        raise PreviewError(
            "the file is no review", remedy="use review.json as `make preview` wrote it"
        ) from None
    if then is None:
        raise PreviewError(f"{stack} was not reviewed", remedy=f"preview it: make preview STACKS={stack}")
    now = review_of(root, [stack], {stack: deployment})
    if commit != now["commit"]:
        raise PreviewError(
            f"commit {str(commit)[:12]} was reviewed, and this is {now['commit'][:12]}", remedy="check it out"
        )
    if not (clean and now["clean"]):
        raise PreviewError("files differ from their commit, then or now", remedy=f"commit them; {_AGAIN}")
    mine = now["stacks"][stack]
    if then["settings"] != mine["settings"]:
        raise PreviewError(f"stacks/Pulumi.{stack}.yaml is not as it was reviewed", remedy=_AGAIN)
    if then["state"] != mine["state"]:
        raise PreviewError(
            f"{stack} was changed since the review, or the review did not know its state", remedy=_AGAIN
        )


def _settings(root: Path, stack: str) -> str:
    """The digest of a stack's settings: secrets count by their ciphertext, and Pulumi's own lines do not count."""
    try:
        content = content_of(root / "stacks" / f"Pulumi.{stack}.yaml")
    except ScenarioError as error:
        raise PreviewError(str(error)) from None
    return _digest(content.get("config") or {})


def _state(deployment: Mapping[str, Any]) -> str:
    """The digest of a state without its secrets, which are encrypted anew each time."""
    return _digest(sealed_state(deployment, "")["resources"])


def _digest(value: object) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()}"


def main() -> None:
    """`python -m previews.review REVIEW STACK`, for `make up`: with the stack's deployment on standard input."""
    file, stack = sys.argv[1:3]
    deployment = json.load(sys.stdin)
    try:
        review = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        sys.exit(f"{file} cannot be read; name the review.json that `make preview` wrote")
    try:
        check(review, ROOT, stack, deployment)
    except PreviewError as error:
        sys.exit(str(error))
    say(f"  {stack} is as it was reviewed, commit {str(review['commit'])[:12]}")


if __name__ == "__main__":
    run(main)
