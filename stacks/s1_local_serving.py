"""`s1-local-serving`: serve, on the premises, a signed release that was made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from components.ansible.inventory import read_inventory
from components.errors import PremisesError
from scenario_model.serve.settings import Serving
from stacks.builders.hosts import admit_hosts, prepare_hosts
from stacks.builders.local_files import read_local
from stacks.builders.premises import check_first, deployment, provide_runtime, serve, serving_variables
from stacks.ending import end_program
from stacks.settings.base import StackSettings
from stacks.settings.premises import Balancer, Premises
from stacks.settings.release import ReceivedRelease, ReleaseFile, ReleaseOfStack, ReleaseUrl


class Settings(StackSettings):
    """Settings of a stack of this scenario."""

    release: ReceivedRelease
    serving: Serving = Serving()
    balancer: Balancer = Balancer()
    premises: Premises = Premises()


def build(stack: str, settings: Settings) -> dict[str, Any]:
    """Declare the stack and return its outputs.

    Raises:
        PremisesError: the inventory, the release, the bundle, a lock or a playbook cannot be used.

    """
    inventory = read_inventory(Path(settings.premises.inventory), groups=("inference",))
    given = pulumi.Output.from_input(_given(stack, settings.release))
    release = given["id"]
    variables = {"release_given": given, "release_name": release.apply(lambda name: name.partition("@")[0])}
    on = deployment(stack, settings.premises, inventory, variables)
    checked = serving_variables(stack, settings.serving)
    preflight = check_first(on, settings.premises, "preflight_serving", checked)
    hosts = prepare_hosts(on, settings.premises, settings.serving, settings.balancer, preflight=preflight)
    ready, admission = admit_hosts(
        on, settings.premises, runtime=provide_runtime(on, settings.serving, after=hosts)
    )
    return serve(on, settings.serving, settings.balancer, release=release, depends_on=[ready]) | admission


def _given(stack: str, release: ReleaseFile | ReleaseUrl | ReleaseOfStack) -> dict[str, pulumi.Input[str]]:
    """Return the release, its location, and the key that verifies it."""
    if isinstance(release, ReleaseOfStack):
        other = pulumi.StackReference("release", stack_name=release.stack)
        names = {"id": "release", "key": "verification_key", "path": "release_path"}
        return {part: _handed_out(stack, other, release.stack, name) for part, name in names.items()}
    key = read_local(stack, "release.verification_key", release.verification_key)
    if isinstance(release, ReleaseFile):
        path = Path(release.path).absolute()
        if not path.exists():
            message = f"stacks/Pulumi.{stack}.yaml: release.path: {path} does not exist"
            raise PremisesError(message)
        return {"id": release.id, "key": key, "path": str(path)}
    return {"id": release.id, "key": key, "url": release.url}


def _handed_out(stack: str, other: pulumi.StackReference, named: str, name: str) -> pulumi.Output[str]:
    """Return an output of another stack. If it is missing, the program ends with one error."""

    def there(value: str | None) -> str:
        if not value:
            end_program(
                f"stacks/Pulumi.{stack}.yaml: release: stack {named} provides no release (no output {name!r}); bring "
                "it up (if other hosts train, with release.export in its file), or name a release by file or url"
            )
        return value

    return other.get_output(name).apply(there)
