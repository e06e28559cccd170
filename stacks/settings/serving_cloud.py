"""The settings of a serving cloud: the cluster, the catalogue that sites visit, and the hosted endpoint."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scenario_model.config import Kinds, Many, NotNegative, Positive, Section, Text, bad_key, form, mistake
from scenario_model.release.settings import Name
from scenario_model.serve.settings import Host, Port, Serving
from stacks.settings.aws import AwsAccount
from stacks.settings.base import LocalPath
from stacks.settings.cluster import ExistingCluster
from stacks.settings.premises import Network

_NODE_PORTS = range(30000, 32768)


class ServingCluster(ExistingCluster):
    """An existing cluster for serving, and an existing bucket, in which each stack has a folder of its own."""

    namespace: Text = "serving"
    """Namespace of catalogue and endpoint; must not exist, or belong to the stack."""
    image: Text
    """Image with the model package."""
    environment: dict[str, Text] = Field(default_factory=dict)
    """Environment variables of the pods, such as AWS_REGION; not for secrets."""


class ServingNodes(Section):
    """The nodes of the hosted endpoint, of one instance type, spread over the zones."""

    instance_type: Text = "m7i.2xlarge"
    """EC2 instance type."""
    number: Positive = 2
    """How many."""


class AwsServing(AwsAccount):
    """A private serving cluster on EKS, created by the stack, behind an internal load balancer."""

    kind: Literal["aws"] = "aws"
    namespace: Text = "serving"
    """Namespace of catalogue and endpoint."""
    image: Text
    """Image with the model package, in a registry of the account."""
    nodes: ServingNodes = ServingNodes()
    report_days: Positive = 90
    """How long sites' reports are kept."""
    audit_days: Positive = 400
    """How long the audit log is kept in the cloud."""
    principals: Many[Text] = ()
    """ARNs, such as arn:aws:iam::ACCOUNT:root, that may connect through PrivateLink; empty: no PrivateLink."""


ServingClouds = Annotated[AwsServing | ServingCluster, Kinds()]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


class GatewayListener(Section):
    """A Gateway of the cluster (Gateway API) with a listener for TLS in mode Passthrough."""

    name: Text
    """Name of the Gateway."""
    namespace: Text
    """Its namespace; its listener has to allow routes of cloud:namespace."""
    listener: Text | None = None
    """Name of the listener; default: whichever fits."""
    proxies: Text | None = None
    """Namespace of the pods that do its work; default: the Gateway's own. With Envoy Gateway: envoy-gateway-system."""


class Exposed(Section):
    """How clients outside the cluster reach a service of it."""

    host: Host | None = None
    """Name or address that clients use; the certificate is for it. Default on AWS: the load balancer's own name."""
    service: Literal["NodePort", "LoadBalancer", "Gateway"] = "NodePort"
    """NodePort: on this port of every node, as on AWS always. LoadBalancer: the cluster's own, which has to pass TCP
    through. Gateway: one of the cluster's, which has to pass TLS through."""
    gateway: GatewayListener | None = None
    """Which Gateway, for service: Gateway."""
    port: Port
    """Port that clients use."""
    annotations: dict[str, Text] = Field(default_factory=dict)
    """Annotations of the service, for the load balancer's controller."""
    clients: Many[Network] = ()
    """Networks that may reach it; empty: all, on AWS all private addresses. A Gateway has its own rules."""

    @model_validator(mode="after")
    def _be_found_by_its_name_at_a_gateway(self) -> Self:
        if (self.service == "Gateway") != (self.gateway is not None):
            raise mistake("gateway says which one, for service: Gateway; set both, or neither")
        if self.gateway and (self.host is None or _is_address(self.host)):
            raise mistake(
                f"host is {self.host or 'missing'}, but a Gateway knows services by their names; write a DNS name that "
                "leads to it"
            )
        if self.gateway and self.clients:
            raise mistake(
                "clients is for services that see their clients' addresses; behind a Gateway leave it out"
            )
        return self

    @model_validator(mode="after")
    def _be_within_the_range_of_node_ports(self) -> Self:
        if self.service == "NodePort" and self.port not in _NODE_PORTS:
            raise mistake(
                f"port is {self.port}, but Kubernetes gives nodes' ports from {_NODE_PORTS.start} to "
                f"{_NODE_PORTS.stop - 1}; use one of them, or service: LoadBalancer"
            )
        return self


class Catalogue(Exposed):
    """The release catalogue, a web server that sites visit."""

    port: Port = 30944
    """Port that sites use."""


class Scaling(Section):
    """More pods of the hosted endpoint under load, by KEDA, which has to be in the cluster."""

    max_replicas: Positive
    """The largest number of pods; endpoint.replicas is the least one."""
    waiting: Positive = 1
    """Requests that may wait, per pod, before there is another one."""
    running: Positive | None = None
    """Requests that may be computed at once, per pod; default: three quarters of the engine's max_sequences."""
    namespace: Text = "keda"
    """Where KEDA runs."""
    idle_seconds: Positive | None = None
    """Seconds without a request after which no pod is left; default: never. Sites start the endpoint again, which takes
    as long as a pod takes to load; clients that ask it directly are refused until then."""


class Endpoint(Exposed):
    """The hosted endpoint: gateway and engine in the cluster."""

    port: Port = 30943
    """Port that clients use."""
    serving: Serving = Serving(drain_seconds=120.0)
    """Settings of the server; host and port are the pod's own. drain_seconds: as long as the longest answer."""
    replicas: Positive = 2
    """Number of pods."""
    scaling: Scaling | None = None
    """More pods under load; default: none."""
    cpu: Text = "2"
    """CPU request of a pod."""
    memory: Text = "8Gi"
    """Memory of a pod."""
    gpus: NotNegative = 0
    """GPUs of a pod."""
    scratch: Text = "20Gi"
    """Disk space of a pod, for the release."""
    load_seconds: Positive = 900
    """How long a pod may take until it answers."""

    @model_validator(mode="after")
    def _observe_nothing(self) -> Self:
        if "observation" in self.serving.model_fields_set:
            raise bad_key(
                "is given, but traffic is watched, and texts are kept, on the premises alone",
                "remove it; a site's server watches by its own `serving.observation`",
                key="serving.observation",
            )
        return self

    @model_validator(mode="after")
    def _scale_upwards(self) -> Self:
        if self.scaling and self.scaling.max_replicas < self.replicas:
            raise mistake(
                f"scaling.max_replicas is {self.scaling.max_replicas}, but replicas, the least number, is "
                f"{self.replicas}; raise the one or lower the other"
            )
        return self


KeyPlace = Annotated[Text, form(r"kms:\S+|(?!kms:).+", "write the path of a PEM file, or kms:ARN")]


class OwnCatalogueKeys(Section):
    """The stack's own keys, encrypted in its state: whoever has the state and its passphrase has them all."""

    kind: Literal["own"] = "own"


class CatalogueKeyFiles(Section):
    """Keys of your own: the stack's state has none of the offline ones."""

    kind: Literal["files"] = "files"
    root: Many[KeyPlace]
    """Root keys: files on this machine or kms:ARN; only needed when the catalogue is created."""
    threshold: Positive = 2
    """How many of them have to sign."""
    releases: KeyPlace
    """The key that says which releases exist."""
    online: LocalPath
    """The rollout's key, PEM; it becomes a Secret in the cluster."""


Keys = Annotated[OwnCatalogueKeys | CatalogueKeyFiles, Kinds(default="own")]


class Inference(Section):
    """Where requests of a site's clients are computed."""

    route: Literal["local-only", "local-first"] = "local-only"
    """local-first: what a site cannot take now goes to the hosted endpoint, if its data class allows it to leave."""
    spill_at: Positive = 4
    """With local-first: requests that wait for a slot of the site, from which on further ones may leave."""


class Sites(Section):
    """The sites: every host of the inventory's group `inference` is one."""

    rings: dict[Name, Many[Text]] = Field(default_factory=dict)
    """Sites of each ring, by the ring's name; all others are in the last ring."""
    invite_key: Text = ""
    """A new value invites all sites anew, for hosts that lost their keys or joined too late."""
