"""The premises of a serving stack: sites that join the catalogue, and serve and follow what it assigns to them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from components.ansible.playbook import Playbook
from components.catalogue.invitation import Invitation
from components.errors import PremisesError
from stacks.builders.hosts import admit_hosts, prepare_hosts
from stacks.builders.premises import (
    check_first,
    deployment,
    described_hosts,
    endpoint,
    ip_address,
    provide_runtime,
    server_access,
    server_names,
    serving_variables,
)
from stacks.residency import is_private
from stacks.settings.premises import Balancer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.ansible.inventory import Inventory
    from components.credentials import CertificateAuthority
    from scenario_model.edge.settings import AgentSettings
    from scenario_model.rollout.settings import RolloutSettings
    from scenario_model.serve.settings import Serving
    from stacks.builders.serving_cloud import GivenRelease, Handout
    from stacks.settings.premises import Premises
    from stacks.settings.serving_cloud import Endpoint, Exposed, Inference, Sites

_UNBALANCED = Balancer()
# Until the autoscaler has seen the wish, and the pod has a node.
_STARTING_SECONDS = 120


def rings_of(stack: str, sites: Sites, rollout: RolloutSettings, inventory: Inventory) -> dict[str, str]:
    """Return the ring of each site.

    Raises:
        PremisesError: a ring or a site is unknown, a site is in two rings, or there is a balancer.

    """
    where = f"stacks/Pulumi.{stack}.yaml: sites.rings"
    if inventory.in_group("balancer"):
        message = (
            f"stacks/Pulumi.{stack}.yaml: premises:inventory: a site is one host, which is reached at its own "
            "address; remove the group balancer"
        )
        raise PremisesError(message)
    names = [host.name for host in inventory.in_group("inference")]
    found: dict[str, str] = {}
    for ring, members in sites.rings.items():
        if ring not in rollout.rings:
            raise PremisesError(f"{where}: unknown ring {ring!r}; use one of {', '.join(rollout.rings)}")
        for site in members:
            if site not in names:
                has = f"the group inference of {inventory.path} has {', '.join(names)}"
                message = f"{where}.{ring}: unknown site {site!r}; {has}"
                raise PremisesError(message)
            if site in found:
                raise PremisesError(
                    f"{where}: {site} is in two rings, {found[site]} and {ring}; keep one of them"
                )
            found[site] = ring
    return {name: found.get(name, rollout.rings[-1]) for name in names}


@dataclass(frozen=True, kw_only=True)
class Route:
    """The way from the sites to the hosted endpoint."""

    url: pulumi.Input[str]
    spill_at: int
    api_key: pulumi.Input[str]
    wake: Mapping[str, pulumi.Input[Any]] | None
    """How the servers have it started, as `scenario-model serve` takes it; None: it never sleeps."""

    def variables(self, authority: CertificateAuthority) -> dict[str, pulumi.Input[Any]]:
        """Return the variables of the role that writes the servers' settings."""
        told: dict[str, Any] = {"url": self.url, "spill_at": self.spill_at}
        return {
            "inference_route": told | ({"wake": self.wake} if self.wake else {}),
            "inference_route_authority": authority.certificate,
        }


def route_to(
    inference: Inference, endpoint: Endpoint | None, handout: Handout, outputs: Mapping[str, Any]
) -> Route | None:
    """Return the way to the endpoint, of which `outputs` tells; None if requests stay where they are."""
    if inference.route == "local-only" or endpoint is None:
        return None
    wake = None
    if handout.server.wanted:
        seconds = endpoint.load_seconds + _STARTING_SECONDS
        wake = {"url": pulumi.Output.concat(handout.url, "/v1/wake"), "seconds": seconds}
    return Route(
        url=outputs["cloud_endpoint"],
        spill_at=inference.spill_at,
        api_key=outputs["cloud_api_key"],
        wake=wake,
    )


def refuse_route_without_endpoint(stack: str, inference: Inference, endpoint: Endpoint | None) -> None:
    """Refuse a route that leads nowhere, and an endpoint that nobody would wake.

    Raises:
        PremisesError: there is no endpoint, or it sleeps and no site may use it.

    """
    if endpoint and endpoint.scaling and endpoint.scaling.idle_seconds and inference.route == "local-only":
        message = (
            f"stacks/Pulumi.{stack}.yaml: endpoint.scaling.idle_seconds lets the endpoint sleep, and only sites that "
            "use it wake it; set inference.route to local-first, or remove idle_seconds"
        )
        raise PremisesError(message)
    if inference.route != "local-only" and endpoint is None:
        message = (
            f"stacks/Pulumi.{stack}.yaml: inference.route is {inference.route}, but there is no endpoint; set "
            "endpoint, or leave the route at local-only"
        )
        raise PremisesError(message)


def refuse_wrong_egress(stack: str, premises: Premises, exposed: Mapping[str, Exposed]) -> None:
    """Refuse a firewall of the hosts that is closed to the stack's own cloud side, or open to somebody else outside.

    Args:
        stack: the stack's name.
        premises: the hosts' settings.
        exposed: what sites exchange data with, by the setting's name. A name cannot be compared with addresses.

    Raises:
        PremisesError: an entry of `premises:egress` is missing, or one too many.

    """
    if premises.egress is None:
        return
    where, allow = f"stacks/Pulumi.{stack}.yaml: premises:egress", premises.egress.allow
    partners = {name: address for name, each in exposed.items() if (address := ip_address(each.host or ""))}
    for name, address in partners.items():
        port = exposed[name].port
        if not any(address in ipaddress.ip_network(entry.to) and port in entry.ports for entry in allow):
            entry = f"{{to: {address}, protocol: tcp, ports: [{port}], why: the {name}}}"
            raise PremisesError(f"{where}.allow: sites have to reach the {name} at {address}; add {entry}")
    named = len(partners) < len(exposed)
    for key, to in premises.egress.destinations().items():
        network = ipaddress.ip_network(to)
        mine = network.num_addresses == 1 and network.network_address in partners.values()
        if not (is_private(to) or mine or named):
            message = (
                f"{where}.{key} is {to}: sites exchange data with the stack's own catalogue and endpoint only; name a "
                "server on the premises, such as a mirror"
            )
            raise PremisesError(message)


def serve_sites(
    stack: str,
    *,
    premises: Premises,
    serving: Serving,
    agent: AgentSettings,
    inventory: Inventory,
    rings: Mapping[str, str],
    invite_key: str,
    given: GivenRelease,
    handout: Handout,
    route: Route | None,
) -> dict[str, Any]:
    """Declare the sites; return their part of the stack's outputs.

    Raises:
        PremisesError: a host cannot be managed or reached, or the bundle, a lock or a playbook cannot be used.

    """
    name = given.id.apply(lambda release: release.partition("@")[0])
    on = deployment(stack, premises, inventory, {"release_name": name, "scenario_site": True})
    preflight = check_first(on, premises, "preflight_serving", serving_variables(stack, serving))
    hosts = prepare_hosts(on, premises, serving, _UNBALANCED, preflight=preflight)
    ready, admission = admit_hosts(on, premises, runtime=provide_runtime(on, serving, after=hosts))
    names = server_names(serving, _UNBALANCED, inventory)
    access = server_access(on, serving, names, handout.authority)
    invited = pulumi.ResourceOptions(depends_on=[handout.publication])
    tokens = {
        site: Invitation(
            f"site-{site}",
            store=handout.store,
            site=site,
            ring=ring,
            url=handout.url,
            authority=handout.authority.certificate,
            invite_key=invite_key,
            opts=invited,
        ).token
        for site, ring in rings.items()
    }
    arguments = on.playbook(
        "sites",
        variables={
            **access.variables,
            "edge": agent.as_given(),
            "edge_verification_key": given.verification_key,
            **(route.variables(handout.authority) if route else {}),
        },
        secrets={
            **access.secrets,
            "edge_tokens": tokens,
            **({"inference_route_key": route.api_key} if route else {}),
        },
        uses_package=True,
        preview_check=on.preview_check,
    )
    Playbook("sites", arguments, pulumi.ResourceOptions(depends_on=[ready, handout.server]))
    urls = {host.name: endpoint([host.address], serving.port) for host in inventory.in_group("inference")}
    return {
        "endpoint": next(iter(urls.values())),
        "sites": [{"name": site, "ring": rings[site], "endpoint": url} for site, url in urls.items()],
        "api_key": access.api_key,
        "ca_certificate": handout.authority.certificate,
        "release": handout.publication.published,
        "hosts": described_hosts(inventory),
        **admission,
    }
