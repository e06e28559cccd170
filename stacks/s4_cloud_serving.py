"""`s4-cloud-serving`: the cloud hands out releases and hosts an endpoint, inference happens on the premises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi

from components.ansible.inventory import read_inventory
from components.credentials import ApiKey, CertificateAuthority, StackId
from scenario_model.edge.settings import AgentSettings
from scenario_model.rollout.settings import RolloutSettings
from scenario_model.serve.settings import Serving
from stacks.builders.release import received_release
from stacks.builders.serving_cloud import GivenRelease, hand_out, host_endpoint, serving_cluster, waking_of
from stacks.builders.sites import (
    refuse_route_without_endpoint,
    refuse_wrong_egress,
    rings_of,
    route_to,
    serve_sites,
)
from stacks.settings.aws import AwsProvider
from stacks.settings.base import StackSettings
from stacks.settings.premises import Premises
from stacks.settings.release import ReceivedRelease
from stacks.settings.serving_cloud import (
    AwsServing,
    Catalogue,
    Endpoint,
    Inference,
    Keys,
    OwnCatalogueKeys,
    ServingClouds,
    Sites,
)


class Settings(StackSettings):
    """Settings of a stack of this scenario."""

    cloud: ServingClouds
    release: ReceivedRelease
    catalogue: Catalogue = Catalogue()
    keys: Keys = OwnCatalogueKeys()
    rollout: RolloutSettings = RolloutSettings()
    endpoint: Endpoint | None = None
    """The hosted endpoint; default: none."""
    sites: Sites = Sites()
    agent: AgentSettings = AgentSettings()
    inference: Inference = Inference()
    serving: Serving = Serving()
    premises: Premises = Premises()
    aws: AwsProvider = AwsProvider()


def build(stack: str, settings: Settings) -> dict[str, Any]:
    """Declare the stack and return its outputs.

    Raises:
        StackError: the cloud, the inventory, the release, the bundle, a key or a playbook cannot be used.

    """
    inventory = read_inventory(Path(settings.premises.inventory), groups=("inference",))
    rings = rings_of(stack, settings.sites, settings.rollout, inventory)
    given = _given(stack, settings)
    authority = CertificateAuthority("authority", common_name=f"{stack} certificate authority")
    exposed = {"catalogue": settings.catalogue} | (
        {"endpoint": settings.endpoint} if settings.endpoint else {}
    )
    refuse_route_without_endpoint(stack, settings.inference, settings.endpoint)
    refuse_wrong_egress(stack, settings.premises, exposed)
    identity = StackId("catalogue")
    if isinstance(settings.cloud, AwsServing):
        # AWS's SDK takes seconds to import, which other clouds need not wait for.
        from stacks.builders.serving_aws import aws_serving

        cloud = aws_serving(stack, settings.cloud, settings.aws, identity, exposed, settings.endpoint)
    else:
        cloud = serving_cluster(stack, settings.cloud, identity, exposed)
    client = ApiKey("cloud-client") if settings.endpoint else None
    waking = waking_of(settings.endpoint, client) if client else None
    handout = hand_out(cloud, settings.keys, settings.rollout.as_given(), given, authority, waking)
    outputs: dict[str, Any] = {"catalogue": handout.url, "catalogue_store": cloud.store, **cloud.outputs}
    if settings.endpoint and client:
        outputs |= host_endpoint(cloud, settings.endpoint, given, handout, client)
    route = route_to(settings.inference, settings.endpoint, handout, outputs)
    return outputs | serve_sites(
        stack,
        premises=settings.premises,
        serving=settings.serving,
        agent=settings.agent,
        inventory=inventory,
        rings=rings,
        invite_key=settings.sites.invite_key,
        given=given,
        handout=handout,
        route=route,
    )


def _given(stack: str, settings: Settings) -> GivenRelease:
    told = received_release(stack, settings.release)
    return GivenRelease(
        id=pulumi.Output.from_input(told["id"]),
        source=pulumi.Output.from_input(told.get("path") or told["url"]),
        verification_key=pulumi.Output.from_input(told["key"]),
    )
