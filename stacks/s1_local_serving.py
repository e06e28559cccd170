"""`s1-local-serving`: serve a signed release that was made elsewhere, on the premises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.premises.errors import PremisesError
from components.premises.hosts import read_inventory
from components.premises.playbook import Playbook
from stacks.managed_hosts import admit_hosts, prepare_hosts
from stacks.on_premises import deployment, provide_runtime, read_local, serve, serving_variables
from stacks.sections import ReleaseFile, ReleaseOfStack

if TYPE_CHECKING:
    from stacks.sections import ReleaseUrl
    from stacks.settings import ServingSettings

STACK = "s1-local-serving"


def build(settings: ServingSettings) -> dict[str, Any]:
    """Declare the stack and return its outputs.

    Raises:
        PremisesError: the inventory, the release, the bundle, a lock or a playbook cannot be used.

    """
    inventory = read_inventory(Path(settings.premises.inventory), groups=("inference",))
    given = pulumi.Output.from_input(_given(settings.release))
    release = given["id"]
    variables = {"release_given": given, "release_name": release.apply(lambda name: name.partition("@")[0])}
    on = deployment(STACK, settings.premises, inventory, variables)
    checked = serving_variables(STACK, settings.serving)
    preflight = Playbook("preflight", on.playbook("preflight_serving", variables=checked))
    hosts = prepare_hosts(on, settings.premises, settings.serving, settings.balancer, preflight=preflight)
    ready, admission = admit_hosts(
        on, settings.premises, runtime=provide_runtime(on, settings.serving, after=hosts)
    )
    return serve(on, settings.serving, settings.balancer, release=release, depends_on=[ready]) | admission


def _given(release: ReleaseFile | ReleaseUrl | ReleaseOfStack) -> dict[str, pulumi.Input[str]]:
    """Return the release, where it is, and the key that it is verified with."""
    if isinstance(release, ReleaseOfStack):
        other = pulumi.StackReference("release", stack_name=release.stack)
        names = {"id": "release", "key": "verification_key", "path": "release_path"}
        return {part: _handed_out(other, release.stack, name) for part, name in names.items()}
    key = read_local(STACK, "release.verification_key", release.verification_key)
    if isinstance(release, ReleaseFile):
        path = Path(release.path).absolute()
        if not path.exists():
            message = f"stacks/Pulumi.{STACK}.yaml: release.path: {path} is not there"
            raise PremisesError(message)
        return {"id": release.id, "key": key, "path": str(path)}
    return {"id": release.id, "key": key, "url": release.url}


def _handed_out(other: pulumi.StackReference, stack: str, name: str) -> pulumi.Output[str]:
    """Return an output of another stack. Without it the program ends in one line: `pulumi.RunError`."""

    def there(value: str | None) -> str:
        if value:
            return value
        message = (
            f"stacks/Pulumi.{STACK}.yaml: release: stack {stack} hands out no release (no output {name!r}); "
            "bring it up, s3-local with release.export in its own file, or name a release by file or url"
        )
        raise pulumi.RunError(message)

    return other.get_output(name).apply(there)
