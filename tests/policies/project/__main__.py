"""A file that is made by one resource, and a resource that is anywhere but on the premises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class _Maker(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        Path(props["path"]).touch()
        return CreateResult("made", props)


class Copy(Resource, module="backup", name="Copy"):
    """A copy of something, elsewhere."""


Copy(_Maker(), "elsewhere", {"path": str(Path("made").absolute())})
