"""Rules for Kubernetes: confined pods, namespaces that enforce it, networks by name.

The levels are those of the Pod Security Standards, <https://kubernetes.io/docs/concepts/security/pod-security-standards/>.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from policies.rule import UNKNOWN, NotKnownError, Rule, is_on, read, read_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from policies.rule import Resource

_ENFORCE = "pod-security.kubernetes.io/enforce"
_ANYWHERE = ("0.0.0.0/0", "::/0")
_OF_A_NODE = "DaemonSet"
# AWS's plugin for EFA looks at its node's interfaces, and AWS's own chart has it so: aws-efa-k8s-device-plugin in
# https://github.com/aws/eks-charts.
_ON_ITS_NODES_NETWORK = "efa-device-plugin"
# Where each kind has the specification of its pods.
_PODS = {
    "Pod": "spec",
    "Deployment": "spec.template.spec",
    "StatefulSet": "spec.template.spec",
    _OF_A_NODE: "spec.template.spec",
    "Job": "spec.template.spec",
    "CronJob": "spec.jobTemplate.spec.template.spec",
}
_JOBS = "template.spec.template.spec"


def _confined(resource: Resource) -> Iterator[str]:
    kind = resource.type.rpartition(":")[2]
    if kind == "JobSet":
        pods = [read(each, _JOBS) for each in read_list(resource.properties, "spec.replicatedJobs")]
    else:
        pods = [read(resource.properties, _PODS[kind])]
    of_a_node = kind == _OF_A_NODE
    forbidden = ["hostPID", "hostIPC"]
    if not (of_a_node and resource.name == _ON_ITS_NODES_NETWORK):
        forbidden.insert(0, "hostNetwork")
    for pod in pods:
        yield from _pod(pod, forbidden, of_a_node=of_a_node)


def _pod(pod: object, forbidden: Iterable[str], *, of_a_node: bool) -> Iterator[str]:
    shared = [name for name in forbidden if is_on(read(pod, name))]
    if shared:
        yield f"its pods have {', '.join(shared)}; take that away"
    # An agent of a node is there for the node's folders and devices, and may have to be root for that.
    if not of_a_node:
        if any(read(each, "hostPath") for each in read_list(pod, "volumes")):
            yield "its pods have folders of their node; give them volumes"
        if not _never_root(pod):
            yield "its pods may run as root; set securityContext.runAsNonRoot"
    for container in [*read_list(pod, "initContainers"), *read_list(pod, "containers")]:
        if is_on(read(container, "securityContext.privileged")):
            yield f"{read(container, 'name')} is privileged; take that away"
        if read(container, "securityContext.allowPrivilegeEscalation") not in (False, "false"):
            yield f"{read(container, 'name')} may gain privileges; set allowPrivilegeEscalation to false"


def _never_root(pod: object) -> bool:
    containers = [*read_list(pod, "initContainers"), *read_list(pod, "containers")]
    each_by_itself = [is_on(read(each, "securityContext.runAsNonRoot")) for each in containers]
    return is_on(read(pod, "securityContext.runAsNonRoot")) or (bool(containers) and all(each_by_itself))


def _enforced(resource: Resource) -> Iterator[str]:
    labels = read(resource.properties, "metadata.labels")
    level = labels.get(_ENFORCE) if isinstance(labels, Mapping) else None
    if level == UNKNOWN:
        raise NotKnownError(_ENFORCE)
    if not level:
        yield f"it admits any pod; label it {_ENFORCE}"


def _named_networks(resource: Resource) -> Iterator[str]:
    for rule in read_list(resource.properties, "spec.egress"):
        peers: list[Any] = read_list(rule, "to")
        if not peers:
            yield "its pods may reach anything; name what they need"
        for peer in peers:
            if read(peer, "ipBlock.cidr") in _ANYWHERE:
                yield f"its pods may reach {read(peer, 'ipBlock.cidr')}; name the networks that they need"


RULES = (
    Rule(
        name="pods-are-confined",
        meaning="Pods share nothing of their node, are not root, and gain no privileges.",
        types=(
            "kubernetes:core/v1:Pod",
            "kubernetes:apps/v1:Deployment",
            "kubernetes:apps/v1:StatefulSet",
            "kubernetes:apps/v1:DaemonSet",
            "kubernetes:batch/v1:Job",
            "kubernetes:batch/v1:CronJob",
            "kubernetes:jobset.x-k8s.io/v1alpha2:JobSet",
        ),
        judge=_confined,
    ),
    Rule(
        name="namespaces-confine-pods",
        meaning="Namespaces say which pods they admit.",
        types=("kubernetes:core/v1:Namespace",),
        judge=_enforced,
    ),
    Rule(
        name="egress-by-name",
        meaning="Pods reach what they need, and not any address.",
        types=("kubernetes:networking.k8s.io/v1:NetworkPolicy",),
        judge=_named_networks,
        mandatory=False,
    ),
)
