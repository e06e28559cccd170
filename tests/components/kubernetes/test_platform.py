"""What a platform declares: closed by default, a quota for every flavour, nothing looked up."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import ClusterError
from components.kubernetes.charts import Chart, Charts
from components.kubernetes.isolation import POD_IDENTITY, Destination
from components.kubernetes.node_agents import NodeAgents
from components.kubernetes.platform import Platform, PlatformArgs
from components.kubernetes.queues import Flavor
from tests.components.kubernetes.declared import Declared, declared

GPU_TAINT = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
P5 = Flavor(
    name="p5",
    quota={"cpu": "384", "nvidia.com/gpu": "16"},
    node_labels={"node.kubernetes.io/instance-type": "p5.48xlarge"},
    taints=[GPU_TAINT],
    topology=["topology.k8s.aws/network-node-layer-1", "kubernetes.io/hostname"],
)


def platform(**changes: Any) -> Declared:
    arguments: dict[str, Any] = {"namespace": "training", "flavors": [P5], **changes}
    return declared(lambda: Platform("platform", PlatformArgs(**arguments)))


def test_nobody_speaks_to_anybody_but_for_names_and_what_is_given() -> None:
    bucket = Destination(name="bucket", cidrs=["10.0.8.0/24"])
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in platform(destinations=[bucket, POD_IDENTITY]).of("NetworkPolicy").values()
    }
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert set(policies) == {"deny-all", "dns", "to-bucket", "to-pod-identity"}
    assert policies["to-bucket"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "10.0.8.0/24"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    ]
    assert not any("ingress" in spec for spec in policies.values())


def test_the_namespace_takes_restricted_pods_only() -> None:
    labels = platform().resources["Namespace", "training"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_only_the_own_namespace_may_use_the_quota() -> None:
    told = platform()
    queue = told.resources["ClusterQueue", "training-training"]["spec"]
    assert queue["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "training"}}
    (group,) = queue["resourceGroups"]
    assert group["coveredResources"] == ["cpu", "nvidia.com/gpu"]
    assert group["flavors"][0]["resources"][1] == {"name": "nvidia.com/gpu", "nominalQuota": "16"}
    local = told.resources["LocalQueue", "training"]
    assert local["spec"] == {"clusterQueue": "training-training"}


def test_a_flavor_is_known_by_its_nodes_labels_and_tolerates_their_taints() -> None:
    told = platform()
    spec = told.resources["ResourceFlavor", "training-p5"]["spec"]
    assert spec["nodeLabels"] == {"node.kubernetes.io/instance-type": "p5.48xlarge"}
    assert spec["tolerations"] == [{**GPU_TAINT, "operator": "Equal"}]
    assert spec["topologyName"] == "training-p5"
    levels = told.resources["Topology", "training-p5"]["spec"]["levels"]
    assert levels[-1] == {"nodeLabel": "kubernetes.io/hostname"}


def test_flavors_with_different_resources_are_refused_before_kueue_does() -> None:
    other = Flavor(name="p4", quota={"nvidia.com/gpu": "8"})
    with pytest.raises(ClusterError, match=r"flavor p4 has a quota for nvidia.com/gpu, p5 for cpu, nvidia"):
        platform(flavors=[P5, other])
    with pytest.raises(ClusterError, match="platform platform has no flavor"):
        platform(flavors=[])


def test_a_cluster_that_has_jobset_and_kueue_is_given_neither() -> None:
    assert platform().of("Release") == {}


def test_charts_are_pinned_and_kueue_comes_after_jobset() -> None:
    releases = platform(charts=Charts()).of("Release")
    assert [each["version"] for each in releases.values()] == ["0.12.0", "0.19.2"]
    assert releases["jobset"]["values"]["image"]["tag"] == "v0.12.0"
    assert releases["kueue"]["namespace"] == "kueue-system"


def test_a_chart_of_ones_own_keeps_its_values_beside_the_image() -> None:
    values = {"controllerManager": {"manager": {"resources": {"requests": {"cpu": "20m"}}}}}
    own = Chart(reference="/charts/kueue", version="", image="here/kueue:1", values=values)
    kueue = platform(charts=Charts(kueue=own)).resources["Release", "kueue"]
    manager = kueue["values"]["controllerManager"]["manager"]
    assert manager["image"]["repository"] == "here/kueue"
    assert manager["resources"] == {"requests": {"cpu": "20m"}}
    assert "version" not in kueue


def test_agents_run_on_gpu_nodes_in_a_namespace_of_their_own_without_a_token() -> None:
    agents = NodeAgents(node_labels={"gpu": "yes"}, taints=[GPU_TAINT], efa_plugin="here/efa:1")
    told = platform(agents=agents)
    sets = told.of("DaemonSet")
    assert set(sets) == {"nvidia-device-plugin", "dcgm-exporter", "efa-device-plugin"}
    for each in sets.values():
        pod = each["spec"]["template"]["spec"]
        assert each["metadata"]["namespace"] == "training-nodes"
        assert pod["nodeSelector"] == {"gpu": "yes"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "efa-device-plugin" not in platform(agents=NodeAgents(node_labels={"gpu": "yes"})).of("DaemonSet")
