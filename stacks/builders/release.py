"""The signed release that comes into a stack: a file, a URL, or another stack's output."""

from __future__ import annotations

from pathlib import Path

import pulumi
from pulumi.runtime.rpc import UNKNOWN

from components.errors import PremisesError
from stacks.builders.local_files import are_elsewhere, read_local
from stacks.ending import end_program
from stacks.settings.release import ReleaseFile, ReleaseOfStack, ReleaseUrl


def received_release(
    stack: str, release: ReleaseFile | ReleaseUrl | ReleaseOfStack
) -> dict[str, pulumi.Input[str]]:
    """Return the release, its location, and the key that verifies it: `id`, `key`, and `path` or `url`.

    Raises:
        StackError: a file on this machine is missing.

    """
    if isinstance(release, ReleaseOfStack):
        other = pulumi.StackReference("release", stack_name=release.stack)
        names = {"id": "release", "key": "verification_key", "path": "release_path"}
        return {part: _handed_out(stack, other, release.stack, name) for part, name in names.items()}
    key = read_local(stack, "release.verification_key", release.verification_key)
    if isinstance(release, ReleaseFile):
        path = Path(release.path).absolute()
        if not (path.exists() or are_elsewhere()):
            message = f"stacks/Pulumi.{stack}.yaml: release.path: {path} does not exist"
            raise PremisesError(message)
        return {"id": release.id, "key": key, "path": str(path)}
    return {"id": release.id, "key": key, "url": release.url}


def _handed_out(stack: str, other: pulumi.StackReference, named: str, name: str) -> pulumi.Output[str]:
    """Return an output of another stack. If it is missing, the program ends with one error."""

    def there(value: str | None) -> str:
        if not value and are_elsewhere():
            return UNKNOWN
        if not value:
            end_program(
                f"stacks/Pulumi.{stack}.yaml: release: stack {named} provides no release (no output {name!r}); bring "
                "it up (if other hosts train, with release.export in its file), or name a release by file or url"
            )
        return value

    return other.get_output(name).apply(there)
