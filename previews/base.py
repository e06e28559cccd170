"""What the branch that a change is for would deploy: previews of its files, with this checkout's packages."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING, Any

from previews import PreviewError
from previews.git import git
from previews.made_up import made_up
from previews.sandbox import Sandbox
from previews.states import moved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from previews.sandbox import Previewed

_ROUNDS = 2


class Base:
    """Stacks of the commit that a branch has left. Nothing is written outside of `folder`."""

    def __init__(self, root: Path, base: str, folder: Path, engine: Path, stacks: Iterable[str]) -> None:
        """`base`: what the branch is for. Raises PreviewError if git does not know it."""
        self._root, self._files = root, folder / "files"
        commit = git(root, "merge-base", base, "HEAD")
        self._files.mkdir(parents=True)
        packed = folder / "files.tar"
        git(root, "archive", "--output", str(packed), commit)
        with tarfile.open(packed) as archive:
            archive.extractall(self._files, filter="data")
        packed.unlink()
        (self._files / ".venv").symlink_to(root / ".venv")
        self._room = Sandbox(self._files, folder / "room", engine, {stack: {} for stack in stacks})

    def state(self, stack: str) -> dict[str, Any]:
        """Return the state that the stack would have there; empty if it is not there, or cannot be previewed."""
        file = self._files / "stacks" / f"Pulumi.{stack}.yaml"
        if not file.is_file():
            return {}

        def preview(state: Mapping[str, Any]) -> Previewed:
            self._room.put(stack, state)
            return self._room.preview(stack, file)

        try:
            found = made_up(preview, _ROUNDS)
        except PreviewError:
            return {}
        return dict(moved(found, str(self._files), str(self._root)))
