"""The settings of a cluster that exists."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scenario_model.config import Many, Section, Text, form, mistake
from scenario_model.serve.settings import Port
from stacks.settings.base import LocalPath
from stacks.settings.queueing import Queueing

BucketUri = Annotated[
    Text, form(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.-]+)*", "write s3://bucket or s3://bucket/prefix")
]


class Reachable(Section):
    """An allowed destination of the pods."""

    name: Annotated[
        Text,
        form(
            r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?",
            "use 1 to 32 of a-z, 0-9 and '-', starting and ending with a letter or digit",
        ),
    ]
    """Name of the network policy."""
    cidrs: Many[Text]
    """Addresses."""
    ports: Many[Port] = (443,)
    """TCP ports."""


class Resolver(Section):
    """Who answers the pods' questions for names: pods of a namespace, or addresses."""

    namespace: Text | None = None
    """Namespace of the pods."""
    labels: dict[str, Text] = Field(default_factory=dict)
    """Labels of the pods."""
    cidrs: Many[Text] = ()
    """Addresses, such as that of a cache on every node."""
    port: Port = 53
    """Port of the pods or addresses, UDP and TCP."""

    @model_validator(mode="after")
    def _be_somebody(self) -> Self:
        if (self.namespace is None) == (not self.cidrs):
            raise mistake("a resolver is pods or addresses: set namespace and labels, or cidrs")
        return self


class Taint(Section):
    """A taint of nodes."""

    key: Text
    """Its key."""
    value: Text | None = None
    """Its value; default: any."""
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"] = "NoSchedule"
    """Its effect."""


class ExistingCluster(Section):
    """An existing cluster, and an existing bucket."""

    kind: Literal["kubernetes"] = "kubernetes"
    """An existing cluster."""
    kubeconfig: LocalPath
    """Kubeconfig of the cluster, a file on this machine."""
    store: BucketUri
    """Bucket for releases, s3://bucket/prefix."""
    region: Text | None = None
    """Region of the bucket; of a store that is not AWS's, as it calls itself, often us-east-1."""
    endpoint: Text | None = None
    """URL of the bucket's service, if it is not AWS's."""
    credentials: Text | None = None
    """Secret in the namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; default: pods get credentials
    another way."""
    node_labels: dict[str, Text] = Field(default_factory=dict)
    """Labels of the nodes that the pods run on."""
    taints: Many[Taint] = ()
    """Taints of those nodes, which the pods tolerate."""
    pull_secrets: Many[Text] = ()
    """Secrets in the namespace with credentials of the images' registries."""
    runtime_class: Text | None = None
    """Runtime class of the pods, such as nvidia on k3s and RKE2."""
    own_user: bool = True
    """Run pods as user 65532, the image's; `false` where the cluster gives each namespace its users, as OpenShift."""
    destinations: Many[Reachable]
    """Allowed destinations of the pods: at least the bucket."""
    resolvers: Many[Resolver] = ()
    """Who answers the pods' questions for names; default: pods labelled k8s-app: kube-dns in kube-system."""


class KubernetesCloud(Queueing, ExistingCluster):
    """An existing cluster for training."""

    quota: dict[str, Text]
    """Quota of all training jobs together: cpu, memory, nvidia.com/gpu."""
    namespace: Text = "training"
    """Namespace of the jobs."""
