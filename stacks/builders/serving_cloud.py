"""The cloud side of a serving stack: namespace, catalogue, the release in it, and the hosted endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as k8s

from components.catalogue.publication import CatalogueKeys, Publication
from components.credentials import ApiKey, CertificateAuthority, ServerCertificate, SigningKey, StackId
from components.errors import ClusterError
from components.kubernetes.exposure import Exposure, GatewayListener
from components.kubernetes.isolation import Destination
from components.kubernetes.namespace import closed_namespace
from components.kubernetes.release_catalogue import ReleaseCatalogue, ReleaseCatalogueArgs, Waking
from components.kubernetes.scaling import Scaling, Sleep
from components.kubernetes.serving_endpoint import EndpointSize, ServingEndpoint, ServingEndpointArgs
from components.kubernetes.workload import Workload
from stacks.builders.cluster import placing, read_kubeconfig, resolvers, store_environment, store_keys
from stacks.builders.local_files import read_local
from stacks.builders.premises import endpoint as url_of
from stacks.settings.serving_cloud import OwnCatalogueKeys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from stacks.settings.serving_cloud import Endpoint, Exposed, Keys, ServingCluster

_ROOTS, _THRESHOLD = 3, 2
ACCOUNT = "server"
"""The pods' service account."""


@dataclass(frozen=True, kw_only=True)
class GivenRelease:
    """A signed release that comes in: its id, where it is, and the key that verifies it, PEM."""

    id: pulumi.Output[str]
    source: pulumi.Output[str]
    verification_key: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How sites and their clients reach a service of the cluster: under which name, on which port."""

    host: pulumi.Input[str]
    port: int
    exposure: Exposure

    @property
    def url(self) -> pulumi.Output[str]:
        """The URL of its API."""
        return pulumi.Output.from_input(self.host).apply(lambda host: url_of([host], self.port))


@dataclass(frozen=True, kw_only=True)
class ServingCloud:
    """Where the stack's cloud side is made.

    Attributes:
        stack: the stack's name.
        workload: what its pods have in common.
        endpoint_workload: the same for the hosted endpoint's, which may be on other nodes.
        store: the stack's own folder in the bucket.
        reached: `catalogue`, and `endpoint` if there is one.
        opts: the cluster, and what has to be there first.
        store_ready: what has to be there before anybody writes into the store.
        outputs: of the stack.

    """

    stack: str
    workload: Workload
    endpoint_workload: Workload
    store: pulumi.Output[str]
    reached: Mapping[str, Reached]
    opts: pulumi.ResourceOptions
    store_ready: Sequence[pulumi.Resource] = ()
    outputs: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)


def serving_cluster(
    stack: str, cloud: ServingCluster, identity: StackId, exposed: Mapping[str, Exposed]
) -> ServingCloud:
    """Declare the namespace in the user's cluster. `exposed`: what clients reach, by the setting's name.

    Raises:
        ClusterError: the kubeconfig cannot be read, or nobody said by which name clients reach the cluster.

    """
    reached = {name: _reached(stack, name, each) for name, each in exposed.items()}
    kubeconfig = pulumi.Output.secret(read_kubeconfig(cloud.kubeconfig))
    provider = k8s.Provider("cluster", kubeconfig=kubeconfig)
    destinations = [
        Destination(name=each.name, cidrs=each.cidrs, ports=each.ports) for each in cloud.destinations
    ]
    inside = pulumi.ResourceOptions(provider=provider)
    namespace = closed_namespace(cloud.namespace, destinations, ACCOUNT, inside, resolvers(cloud))
    workload = Workload(
        namespace=cloud.namespace,
        image=cloud.image,
        service_account=ACCOUNT,
        environment={**store_environment(cloud), **cloud.environment},
        secret_environment=store_keys(cloud.credentials),
        node_labels=cloud.node_labels,
        placing=placing(cloud, taints=True),
    )
    return ServingCloud(
        stack=stack,
        workload=workload,
        endpoint_workload=workload,
        store=pulumi.Output.concat(cloud.store, "/", folder_of(stack, identity)),
        reached=reached,
        opts=pulumi.ResourceOptions(provider=provider, depends_on=[namespace]),
    )


def folder_of(stack: str, identity: StackId) -> pulumi.Output[str]:
    """Return the stack's folder in its bucket. A stack that is made anew has new keys, and so another catalogue."""
    return pulumi.Output.concat(f"{stack}-", identity.identity)


def _reached(stack: str, name: str, given: Exposed) -> Reached:
    if given.host is None:
        message = (
            f"stacks/Pulumi.{stack}.yaml: {name}.host is missing; write by which clients reach your cluster"
        )
        raise ClusterError(message)
    exposure = Exposure(
        service=given.service,
        port=given.port,
        annotations=given.annotations,
        clients=given.clients,
        host=given.host,
        gateway=_gateway(given),
    )
    return Reached(host=given.host, port=given.port, exposure=exposure)


def _gateway(given: Exposed) -> GatewayListener | None:
    told = given.gateway
    if told is None:
        return None
    return GatewayListener(
        name=told.name,
        namespace=told.namespace,
        listener=told.listener or "",
        proxies=told.proxies or told.namespace,
    )


@dataclass(frozen=True, kw_only=True)
class Handout:
    """The catalogue, as sites need it: where it is, and whom they believe."""

    url: pulumi.Output[str]
    store: pulumi.Output[str]
    publication: Publication
    authority: CertificateAuthority
    server: ReleaseCatalogue


def hand_out(
    cloud: ServingCloud,
    keys: Keys,
    rollout: Mapping[str, Any],
    given: GivenRelease,
    authority: CertificateAuthority,
    waking: Waking | None = None,
) -> Handout:
    """Declare the release in its catalogue, and the catalogue's web server. `waking`: of the hosted endpoint.

    Raises:
        StackError: a key on this machine cannot be read.

    """
    catalogue_keys, online = _keys(cloud.stack, keys)
    publication = Publication(
        "release",
        store=cloud.store,
        keys=catalogue_keys,
        release=given.id,
        source=given.source,
        verification_key=given.verification_key,
        opts=pulumi.ResourceOptions(depends_on=list(cloud.store_ready)),
    )
    reached = cloud.reached["catalogue"]
    certificate = ServerCertificate("catalogue", authority=authority, names=[reached.host])
    server = ReleaseCatalogue(
        "catalogue",
        ReleaseCatalogueArgs(
            workload=cloud.workload,
            store=cloud.store,
            name=given.id.apply(lambda release: release.partition("@")[0]),
            certificate=certificate.certificate,
            private_key=certificate.private_key,
            sites_key=SigningKey("sites").private_key,
            online_key=online,
            verification_key=given.verification_key,
            rollout=rollout,
            exposure=reached.exposure,
            waking=waking,
        ),
        pulumi.ResourceOptions.merge(cloud.opts, pulumi.ResourceOptions(depends_on=[publication])),
    )
    url = reached.url.apply(lambda api: api.removesuffix("/v1"))
    return Handout(url=url, store=cloud.store, publication=publication, authority=authority, server=server)


def waking_of(endpoint: Endpoint | None, api_key: ApiKey) -> Waking | None:
    """Return how sites may have the endpoint started; None if it never sleeps."""
    scaling = endpoint.scaling if endpoint else None
    if scaling is None or scaling.idle_seconds is None:
        return None
    return Waking(api_key_sha256=api_key.sha256, scaler=scaling.namespace)


def host_endpoint(
    cloud: ServingCloud, endpoint: Endpoint, given: GivenRelease, handout: Handout, api_key: ApiKey
) -> dict[str, Any]:
    """Declare the hosted endpoint; return its part of the stack's outputs."""
    reached = cloud.reached["endpoint"]
    certificate = ServerCertificate("endpoint", authority=handout.authority, names=[reached.host])
    serving = endpoint.serving.as_given()
    ServingEndpoint(
        "endpoint",
        ServingEndpointArgs(
            workload=cloud.endpoint_workload,
            store=cloud.store,
            release=handout.publication.published,
            verification_key=given.verification_key,
            serving=serving,
            drain_seconds=endpoint.serving.drain_seconds,
            certificate=certificate.certificate,
            private_key=certificate.private_key,
            api_key_sha256=api_key.sha256,
            size=EndpointSize(
                cpu=endpoint.cpu, memory=endpoint.memory, gpus=endpoint.gpus, scratch=endpoint.scratch
            ),
            replicas=endpoint.replicas,
            load_seconds=endpoint.load_seconds,
            exposure=reached.exposure,
            scaling=_scaling(endpoint, handout.server.wanted),
        ),
        cloud.opts,
    )
    return {
        "cloud_endpoint": reached.url,
        "cloud_api_key": pulumi.Output.secret(api_key.key),
    }


def _scaling(endpoint: Endpoint, wanted_at: pulumi.Output[str] | None) -> Scaling | None:
    wanted = endpoint.scaling
    if wanted is None:
        return None
    return Scaling(
        most=wanted.max_replicas,
        waiting=wanted.waiting,
        running=wanted.running or max(1, endpoint.serving.engine.max_sequences * 3 // 4),
        namespace=wanted.namespace,
        sleep=Sleep(after_seconds=wanted.idle_seconds, wanted=wanted_at)
        if wanted.idle_seconds and wanted_at
        else None,
    )


def _keys(stack: str, keys: Keys) -> tuple[CatalogueKeys, pulumi.Input[str]]:
    """Return the catalogue's keys, and the rollout's as PEM."""
    if isinstance(keys, OwnCatalogueKeys):
        online = SigningKey("rollout").private_key
        roots = [SigningKey(f"root-{number}").private_key for number in range(1, _ROOTS + 1)]
        releases = SigningKey("releases").private_key
        return CatalogueKeys(root=roots, threshold=_THRESHOLD, releases=releases, online=online), online
    pem = pulumi.Output.secret(read_local(stack, "keys.online", keys.online))
    return (
        CatalogueKeys(
            root=[_place(each) for each in keys.root],
            threshold=keys.threshold,
            releases=_place(keys.releases),
            online=pem,
        ),
        pem,
    )


def _place(key: str) -> str:
    return key if key.startswith("kms:") else str(Path(key).expanduser().absolute())
