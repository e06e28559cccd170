"""Each rule finds what breaks it and passes what keeps it; where it is mandatory, what is not known is broken."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from policies.judge import RULES, violations
from policies.rule import UNKNOWN, Resource
from stacks.scenarios import SCENARIOS

CONTAINER: dict[str, Any] = {"name": "server", "securityContext": {"allowPrivilegeEscalation": False}}
POD: dict[str, Any] = {"securityContext": {"runAsNonRoot": True}, "containers": [CONTAINER]}
FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")


def broken(
    kind: str, properties: dict[str, Any], scenario: str = "s2-cloud-training", name: str = "name"
) -> dict[str, bool]:
    """The rules that a resource breaks, and whether an update stops at them."""
    found = violations(Resource(kind, name, properties, SCENARIOS[scenario]))
    return {each.rule.name: each.stops for each in found}


def statement(**parts: Any) -> dict[str, Any]:
    return {"policy": json.dumps({"Statement": [{"Effect": "Allow", "Resource": "*"} | parts]})}


def pods(**pod: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": copy.deepcopy(POD) | pod}}}


def jobs(**pod: Any) -> dict[str, Any]:
    template = {"spec": {"template": {"spec": copy.deepcopy(POD) | pod}}}
    return {"spec": {"replicatedJobs": [{"template": template}]}}


def container(**context: Any) -> list[dict[str, Any]]:
    return [{"name": "server", "securityContext": CONTAINER["securityContext"] | context}]


INGRESS, GROUP = (
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "aws:ec2/securityGroup:SecurityGroup",
)
OLD_RULE = "aws:ec2/securityGroupRule:SecurityGroupRule"
API, BLOCK = "aws:eks/cluster:Cluster", "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET, ROLE = "aws:s3/bucketPolicy:BucketPolicy", "aws:iam/rolePolicy:RolePolicy"
ATTACHED = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
TEMPLATE, VOLUME = "aws:ec2/launchTemplate:LaunchTemplate", "aws:ebs/volume:Volume"
DEPLOYMENT, AGENT = "kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:DaemonSet"
JOBS, NAMESPACE = "kubernetes:jobset.x-k8s.io/v1alpha2:JobSet", "kubernetes:core/v1:Namespace"
NETWORKS = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
TOKENS = {"metadataOptions": {"httpTokens": "required"}}


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        (INGRESS, {"cidrIpv4": "203.0.113.0/24"}),
        (INGRESS, {"cidrIpv4": "10.0.0.0/8"}),
        (INGRESS, {"referencedSecurityGroupId": UNKNOWN}),
        (GROUP, {"ingress": [{"cidrBlocks": ["203.0.113.7/32"]}], "egress": [{"cidrBlocks": ["0.0.0.0/0"]}]}),
        (OLD_RULE, {"type": "egress", "cidrBlocks": ["0.0.0.0/0"]}),
        (API, {"vpcConfig": {"endpointPublicAccess": False, "subnetIds": UNKNOWN}}),
        (API, {"vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["203.0.113.7/32"]}}),
        (BLOCK, dict.fromkeys(FLAGS, True) | {"bucket": UNKNOWN}),
        (BUCKET, statement(Effect="Deny", Principal="*", Action="s3:*")),
        (BUCKET, statement(Principal="*", Action="s3:GetObject", Condition={"Bool": {}})),
        (ROLE, statement(Action=["s3:GetObject", "ec2:*"])),
        (ATTACHED, {"policyArn": "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy", "role": UNKNOWN}),
        (TEMPLATE, TOKENS | {"blockDeviceMappings": [{"ebs": {"encrypted": "true"}}, {"virtualName": "a"}]}),
        (VOLUME, {"encrypted": True}),
        (DEPLOYMENT, pods(volumes=[{"secret": {"secretName": UNKNOWN}}])),
        (DEPLOYMENT, pods(securityContext={}, containers=container(runAsNonRoot=True))),
        (AGENT, pods(volumes=[{"hostPath": {"path": "/dev"}}], securityContext={})),
        (JOBS, jobs()),
        (NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}),
        (
            NETWORKS,
            {"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"podSelector": {}}]}]}},
        ),
        ("kubernetes:core/v1:PodTemplate", {}),
    ],
)
def test_what_keeps_the_rules_passes(kind: str, properties: dict[str, Any]) -> None:
    assert broken(kind, properties) == {}


@pytest.mark.parametrize(
    ("rule", "kind", "properties"),
    [
        ("ingress-from-known-networks", INGRESS, {"cidrIpv4": "0.0.0.0/0"}),
        ("ingress-from-known-networks", INGRESS, {"cidrIpv6": "::/0"}),
        ("ingress-from-known-networks", INGRESS, {"cidrIpv4": "128.0.0.0/1"}),
        ("ingress-from-known-networks", GROUP, {"ingress": [{"cidrBlocks": ["10.0.0.0/8", "0.0.0.0/0"]}]}),
        ("ingress-from-known-networks", OLD_RULE, {"type": "ingress", "cidrBlocks": ["0.0.0.0/0"]}),
        ("cluster-api-for-known-networks", API, {"vpcConfig": {"subnetIds": ["a"]}}),
        ("cluster-api-for-known-networks", API, {"vpcConfig": {"endpointPublicAccess": True}}),
        (
            "cluster-api-for-known-networks",
            API,
            {"vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": ["0.0.0.0/0"]}},
        ),
        ("buckets-are-private", BLOCK, dict.fromkeys(FLAGS[:3], True)),
        ("nothing-for-everybody", BUCKET, statement(Principal="*", Action="s3:GetObject")),
        ("nothing-for-everybody", BUCKET, statement(Principal={"AWS": ["*"]}, Action="s3:GetObject")),
        ("nothing-for-everybody", BUCKET, statement(NotPrincipal={"AWS": "a"}, Action="s3:GetObject")),
        ("roles-are-not-almighty", ROLE, statement(Action="*")),
        ("roles-are-not-almighty", ROLE, statement(NotAction="s3:DeleteBucket")),
        ("roles-are-not-almighty", ATTACHED, {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("disks-are-encrypted", TEMPLATE, TOKENS | {"blockDeviceMappings": [{"ebs": {"volumeSize": 50}}]}),
        ("disks-are-encrypted", VOLUME, {}),
        ("machines-ask-for-tokens", TEMPLATE, {}),
        (
            "machines-ask-for-tokens",
            "aws:ec2/instance:Instance",
            {"metadataOptions": {"httpTokens": "optional"}},
        ),
        ("pods-are-confined", DEPLOYMENT, pods(hostNetwork=True)),
        ("pods-are-confined", AGENT, pods(hostNetwork=True)),
        ("pods-are-confined", DEPLOYMENT, pods(volumes=[{"hostPath": {"path": "/"}}])),
        ("pods-are-confined", DEPLOYMENT, pods(securityContext={})),
        ("pods-are-confined", DEPLOYMENT, pods(containers=container(privileged=True))),
        ("pods-are-confined", DEPLOYMENT, pods(initContainers=[{"name": "before"}])),
        ("pods-are-confined", AGENT, pods(hostPID=True)),
        ("pods-are-confined", JOBS, jobs(hostIPC=True)),
        ("namespaces-confine-pods", NAMESPACE, {"metadata": {"name": "a"}}),
    ],
)
def test_what_breaks_a_mandatory_rule_stops_an_update(
    rule: str, kind: str, properties: dict[str, Any]
) -> None:
    assert broken(kind, properties) == {rule: True}


def test_efas_plugin_alone_shares_its_nodes_network() -> None:
    plugin = "efa-device-plugin"
    assert broken(AGENT, pods(hostNetwork=True), name=plugin) == {}
    assert broken(AGENT, pods(hostNetwork=True, hostPID=True), name=plugin) == {"pods-are-confined": True}
    assert broken(DEPLOYMENT, pods(hostNetwork=True), name=plugin) == {"pods-are-confined": True}


@pytest.mark.parametrize(
    "egress", [[{"ports": [{"port": 443}]}], [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]]
)
def test_wide_egress_is_told_and_stops_nothing(egress: list[Any]) -> None:
    assert broken(NETWORKS, {"spec": {"egress": egress}}) == {"egress-by-name": False}


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        (INGRESS, {"cidrIpv4": UNKNOWN}),
        (GROUP, {"ingress": UNKNOWN}),
        (API, {"vpcConfig": UNKNOWN}),
        (API, {"vpcConfig": {"endpointPublicAccess": True, "publicAccessCidrs": UNKNOWN}}),
        (BLOCK, dict.fromkeys(FLAGS, True) | {FLAGS[0]: UNKNOWN}),
        (TEMPLATE, TOKENS | {"blockDeviceMappings": [{"ebs": {"encrypted": UNKNOWN}}]}),
        (TEMPLATE, {"metadataOptions": UNKNOWN}),
        (DEPLOYMENT, {"spec": UNKNOWN}),
        (DEPLOYMENT, pods(containers=UNKNOWN)),
        (NAMESPACE, {"metadata": {"labels": UNKNOWN}}),
        (NAMESPACE, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": UNKNOWN}}}),
    ],
)
def test_what_a_mandatory_rule_cannot_know_counts_as_broken(kind: str, properties: dict[str, Any]) -> None:
    assert set(broken(kind, properties).values()) == {True}


@pytest.mark.parametrize(("kind", "path"), [(BUCKET, "policy"), (ROLE, "policy"), (ATTACHED, "policyArn")])
def test_what_is_known_in_an_update_alone_is_told_in_a_preview(kind: str, path: str) -> None:
    assert list(broken(kind, {path: UNKNOWN}).values()) == [False]


def test_data_stay_on_the_premises_where_the_scenario_says_so() -> None:
    kind = "aws:s3/bucket:Bucket"
    assert broken(kind, {}, "s3-local") == {"data-stays-on-the-premises": True}
    assert broken(kind, {}, "s2-cloud-training") == {}
    assert list(violations(Resource(kind, "another project's", {}))) == []


def test_each_rule_says_what_it_asks_for() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.meaning.endswith(".") for rule in RULES)


def test_the_guide_names_each_rule() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "previews.md").read_text(encoding="utf-8")
    assert [rule.name for rule in RULES if f"| `{rule.name}` |" not in guide] == []
