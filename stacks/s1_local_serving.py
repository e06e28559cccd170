"""`s1-local-serving`: serve, on the premises, a signed release that was made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from components.ansible.inventory import read_inventory
from scenario_model.serve.settings import Serving
from stacks.builders.hosts import admit_hosts, prepare_hosts
from stacks.builders.premises import check_first, deployment, provide_runtime, serve, serving_variables
from stacks.builders.release import received_release
from stacks.settings.base import StackSettings
from stacks.settings.premises import Balancer, Premises
from stacks.settings.release import ReceivedRelease


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
    given = pulumi.Output.from_input(received_release(stack, settings.release))
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
