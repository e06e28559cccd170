"""Which stacks a change of files concerns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from previews.git import git

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Neither a program nor a host reads these.
_NO_STACK = re.compile(
    r"(?:docs|tests|lab|benchmarks|previews|\.github|\.ci|publish)/|[^/]*\.md$|LICENSE$|\.[^/]+$"
)
_OWN = re.compile(r"stacks/Pulumi\.(.+)\.yaml$")


def changed_files(root: Path, base: str) -> list[str]:
    """Return the files that differ from where this branch left `base`. Raises PreviewError if git cannot say."""
    told = [git(root, "diff", "--name-only", since) for since in (f"{base}...HEAD", "HEAD")]
    return sorted(set("\n".join(told).split("\n")) - {""})


def concerned(files: Iterable[str], stacks: Iterable[str], texts: dict[str, str]) -> list[str]:
    """Return the stacks that a change of `files` concerns. `texts`: what is in each stack's file.

    A stack's own file, and an inventory that it names, concern that stack alone; what only people and tests read, none;
    anything else, all.
    """
    known, found = list(stacks), set[str]()
    for file in files:
        if own := _OWN.search(file):
            found |= {own[1]} & set(known)
        elif file.startswith("ansible/inventory/"):
            found |= {stack for stack in known if file in texts.get(stack, "")}
        elif not _NO_STACK.match(file):
            return known
    return [stack for stack in known if stack in found]
