"""`s1-local-serving`: serve a signed release that was made elsewhere, on the premises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.premises.errors import PremisesError
from components.premises.hosts import read_inventory
from components.premises.playbook import Playbook
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
    runtime = provide_runtime(on, settings.serving, preflight)
    return serve(on, settings.serving, settings.balancer, release=release, depends_on=[runtime])


def _given(release: ReleaseFile | ReleaseUrl | ReleaseOfStack) -> dict[str, pulumi.Input[str]]:
    """Return the release, where it is, and the key that it is verified with."""
    if isinstance(release, ReleaseOfStack):
        other = pulumi.StackReference("release", stack_name=release.stack)
        return {
            "id": other.require_output("release"),
            "key": other.require_output("verification_key"),
            "path": other.require_output("release_path"),
        }
    key = read_local(STACK, "release.verification_key", release.verification_key)
    if isinstance(release, ReleaseFile):
        path = Path(release.path).absolute()
        if not path.exists():
            message = f"stacks/Pulumi.{STACK}.yaml: release.path: {path} is not there"
            raise PremisesError(message)
        return {"id": release.id, "key": key, "path": str(path)}
    return {"id": release.id, "key": key, "url": release.url}
