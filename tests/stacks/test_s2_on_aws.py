"""What the training cloud of s2-cloud-training is on AWS: its network, its nodes, its keys, and who speaks for it."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

import tests.aws_sdk  # noqa: F401 loads it
from tests.components.aws.declaring import S3_ADDRESSES
from tests.stacks.test_s2_cloud_training import Declared, config, declare, declared, in_a_cluster, refuses

__all__ = ["declared"]  # a fixture

GIVEN: dict[str, Any] = {
    "id": "vpc-0123456789abcdef0",
    "s3_endpoint": "vpce-0123456789abcdef0",
    "s3_cidrs": ["3.5.134.0/23"],
}
GIVEN |= {"cidrs": ["10.1.0.0/16", "100.64.0.0/16"]}
GIVEN |= {"subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]}
KEY = "arn:aws:kms:eu-central-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef"
PUSHED = "pulumi-python:dynamic/aws:PushedImage"
GOVERNED: dict[str, Any] = {
    "aws__region": "us-gov-west-1",
    "cloud__zones": ["us-gov-west-1a", "us-gov-west-1b"],
    "cloud__admins": ["arn:aws-us-gov:iam::000000000000:role/deployer"],
    "own__training": {"image": "registry.example/model:1", "pods": 2},
}


def pod_of(declared: Declared) -> dict[str, Any]:
    (job,) = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
    (workers,) = job["spec"]["replicatedJobs"]
    pod: dict[str, Any] = workers["template"]["spec"]["template"]["spec"]
    return pod


def training_group(declared: Declared) -> dict[str, Any]:
    groups = declared.resources["aws:eks/nodeGroup:NodeGroup"]
    (group,) = [each for each in groups if each["labels"]["scenario/nodes"] == "training"]
    return group


def blocks_of(declared: Declared) -> dict[str, list[str]]:
    """The addresses that network policies let pods call, by the policy's name."""
    return {
        each["metadata"]["name"]: [
            peer["ipBlock"]["cidr"]
            for rule in each["spec"].get("egress", [])
            for peer in rule["to"]
            if "ipBlock" in peer
        ]
        for each in declared.resources["kubernetes:networking.k8s.io/v1:NetworkPolicy"]
    }


def statements_of(declared: Declared) -> dict[str, dict[str, Any]]:
    """The statements of roles' own policies, by their ID."""
    policies = [json.loads(each["policy"]) for each in declared.resources["aws:iam/rolePolicy:RolePolicy"]]
    return {each["Sid"]: each for policy in policies for each in policy["Statement"] if "Sid" in each}


def test_pods_may_call_s3_and_the_network_and_nothing_else_though_there_is_a_way_out(
    declared: Declared,
) -> None:
    declare(config())
    assert "aws:ec2/natGateway:NatGateway" in declared.resources
    blocks = blocks_of(declared)
    assert blocks["to-s3"] == S3_ADDRESSES
    assert blocks["to-endpoints"] == ["10.80.0.0/16"]
    assert "0.0.0.0/0" not in str(blocks)


def test_in_a_network_that_exists_nothing_is_made_or_changed(declared: Declared) -> None:
    declare(config(cloud__vpc=GIVEN))
    kinds = {token.partition(":")[2].partition("/")[2] for token in declared.resources if "aws:ec2/" in token}
    assert kinds == {"securityGroup:SecurityGroup", "launchTemplate:LaunchTemplate"}, "of the nodes alone"
    assert training_group(declared)["subnetIds"] == [GIVEN["subnets"][0]]
    (policy,) = declared.resources["aws:s3/bucketPolicy:BucketPolicy"]
    assert GIVEN["s3_endpoint"] in policy["policy"]
    assert blocks_of(declared)["to-s3"] == GIVEN["s3_cidrs"]
    assert blocks_of(declared)["to-endpoints"] == GIVEN["cidrs"]


def test_every_role_obeys_the_accounts_rules_for_roles(declared: Declared) -> None:
    boundary = "arn:aws:iam::000000000000:policy/boundary"
    declare(config(cloud__roles={"boundary": boundary, "path": "/machines/"}))
    roles = declared.resources["aws:iam/role:Role"]
    assert len(roles) >= 5
    assert {(each["permissionsBoundary"], each["path"]) for each in roles} == {(boundary, "/machines/")}
    declared.resources.clear()
    declare(config())
    assert not [
        each
        for each in declared.resources["aws:iam/role:Role"]
        if {"path", "permissionsBoundary"} & set(each)
    ]


@pytest.mark.parametrize(
    ("provider", "told", "arguments"),
    [
        ({"aws__profile": "team"}, {"profile": "team", "role": ""}, ["--profile", "team"]),
        (
            {"aws__assumeRoles": [{"roleArn": "arn:aws:iam::000000000000:role/deployer"}]},
            {"profile": "", "role": "arn:aws:iam::000000000000:role/deployer"},
            ["--role-arn", "arn:aws:iam::000000000000:role/deployer"],
        ),
    ],
)
def test_the_profile_or_role_that_deploys_asks_for_everything(
    provider: dict[str, Any], told: dict[str, str], arguments: list[str], declared: Declared
) -> None:
    declare(config(own__release={"export": "releases"}, **provider))
    asking = [
        each["caller"]
        for token, found in declared.resources.items()
        if token.startswith("pulumi-python:dynamic/aws:")
        for each in found
    ]
    assert asking == [told] * 4, (
        "what the account has, the image, the copy of the release, the key's public half"
    )
    (cluster,) = declared.resources["pulumi:providers:kubernetes"]
    (user,) = json.loads(cluster["kubeconfig"])["users"]
    assert user["user"]["exec"]["args"][-2:] == arguments


def test_govclouds_arns_are_its_own_everywhere(declared: Declared) -> None:
    declare(config(**GOVERNED))
    text = json.dumps(declared.resources)
    assert "arn:aws-us-gov:" in text
    assert "arn:aws:" not in text


def test_the_account_is_asked_for_what_the_stack_needs(declared: Declared) -> None:
    declare(config(cloud__nodes={"instance_type": "g6.2xlarge", "maximum": 2, "zone": "eu-central-1b"}))
    (check,) = declared.resources["pulumi-python:dynamic/aws:AccountCheck"]
    told = {each["instance_type"]: (each["number"], each["zones"]) for each in check["needs"]}
    assert told == {
        "m7i.large": (2, ["eu-central-1a", "eu-central-1b"]),
        "g6.2xlarge": (2, ["eu-central-1b"]),
    }
    assert "eks-auth" in check["services"]
    declared.resources.clear()
    declare(config(cloud__vpc=GIVEN))
    (check,) = declared.resources["pulumi-python:dynamic/aws:AccountCheck"]
    assert (check["vpc"], check["services"]) == (GIVEN["id"], ["kms"]), (
        "what pods call, though there is a way out"
    )
    declared.resources.clear()
    declare(config(cloud__vpc=GIVEN, cloud__nat=False, cloud__registry="mirror", cloud__session_manager=True))
    (check,) = declared.resources["pulumi-python:dynamic/aws:AccountCheck"]
    assert {"eks", "ecr.dkr", "kms", "ssmmessages"} <= set(check["services"])


def test_images_of_a_mirror_in_the_accounts_own_registry_are_there_before_charts_and_nodes(
    declared: Declared,
) -> None:
    own = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    declare(config(cloud__account="123456789012", cloud__registry=f"{own}/s2-cloud-training"))
    asked = {each["image"]: each["remedy"] for each in declared.resources[PUSHED]}
    assert {image.rpartition("/")[2].partition(":")[0] for image in asked} == {
        *("jobset", "kueue", "cluster-autoscaler", "k8s-device-plugin", "dcgm-exporter"),
    }
    assert all(image.startswith(f"{own}/s2-cloud-training/") for image in asked)
    assert set(asked.values()) == {"copy it: make mirror STACK=s2-cloud-training"}
    declared.resources.clear()
    declare(config(cloud__registry="mirror.example"))
    (training,) = declared.resources[PUSHED]
    assert "scenario-model" in training["image"], "of a registry of others nothing is asked"


def test_a_shell_on_a_node_is_for_those_who_ask_for_it(declared: Declared) -> None:
    def found() -> tuple[bool, bool]:
        attached = str(declared.resources["aws:iam/rolePolicyAttachment:RolePolicyAttachment"])
        endpoints = str(declared.resources["aws:ec2/vpcEndpoint:VpcEndpoint"])
        return "AmazonSSMManagedInstanceCore" in attached, "eu-central-1.ssmmessages" in endpoints

    declare(config())
    assert found() == (False, False)
    declared.resources.clear()
    declare(config(cloud__session_manager=True))
    assert found() == (True, True)


def test_logs_and_metrics_of_pods_are_kept_encrypted_for_as_long_as_is_said(declared: Declared) -> None:
    declare(config(cloud__observe_days=30))
    addons = {each["addonName"]: each for each in declared.resources["aws:eks/addon:Addon"]}
    settings = json.loads(addons["amazon-cloudwatch-observability"]["configurationValues"])
    assert settings["manager"]["applicationSignals"]["autoMonitor"]["monitorAllServices"] is False
    kept = {each["name"]: each for each in declared.resources["aws:cloudwatch/logGroup:LogGroup"]}
    for name in ("application", "dataplane", "host", "performance"):
        group = kept[f"/aws/containerinsights/s2-cloud-training/{name}"]
        assert (group["retentionInDays"], group["kmsKeyId"]) == (30, "arn:of:training")
    mine = "arn:aws:logs:eu-central-1:000000000000:log-group:/aws/containerinsights/s2-cloud-training/*"
    assert statements_of(declared)["Logs"]["Resource"] == mine
    assert ".monitoring" in str(declared.resources["aws:ec2/vpcEndpoint:VpcEndpoint"])
    with pytest.raises(pulumi.RunError, match="cloud:observe_days"):
        declare(config(cloud__observe_days=31))


def test_all_nodes_have_the_clusters_version_and_sick_ones_are_repaired(declared: Declared) -> None:
    declare(config(cloud__node_release="1.35.0-20261118"))
    groups = declared.resources["aws:eks/nodeGroup:NodeGroup"]
    assert len(groups) == 2
    for group in groups:
        assert (group["version"], group["releaseVersion"]) == ("1.35", "1.35.0-20261118")
        assert group["nodeRepairConfig"] == {"enabled": True}
    declared.resources.clear()
    declare(config(cloud__node_repair=False))
    assert not [
        each
        for each in declared.resources["aws:eks/nodeGroup:NodeGroup"]
        if each["nodeRepairConfig"]["enabled"]
    ]
    addons = {each["addonName"] for each in declared.resources["aws:eks/addon:Addon"]}
    assert "eks-node-monitoring-agent" not in addons


def test_the_key_that_signs_is_in_kms_and_no_private_half_is_anywhere(declared: Declared) -> None:
    outputs = declare(config())
    (key,) = [each for each in declared.resources["aws:kms/key:Key"] if each.get("keyUsage") == "SIGN_VERIFY"]
    assert key["customerMasterKeySpec"] == "ECC_NIST_P256"
    (half,) = declared.resources["pulumi-python:dynamic/aws:PublicHalf"]
    assert half["key"] == "arn:of:signing"
    assert "verification_key" in outputs
    sign = statements_of(declared)["Sign"]
    assert (sign["Resource"], "kms:Sign" in sign["Action"]) == ("arn:of:signing", True)
    assert "kubernetes:core/v1:Secret" not in declared.resources
    assert "keys" not in {each["name"] for each in pod_of(declared)["volumes"]}


def test_a_stack_from_before_keeps_its_key_in_a_secret(declared: Declared) -> None:
    declare(config(own__signing={"kind": "secret"}))
    (secret,) = declared.resources["kubernetes:core/v1:Secret"]
    assert secret["metadata"]["name"] == "training-keys"
    assert "Sign" not in statements_of(declared)
    assert not [
        each for each in declared.resources["aws:kms/key:Key"] if each.get("keyUsage") == "SIGN_VERIFY"
    ]


def test_a_bucket_with_a_key_of_somebody_elses_is_read_with_it_through_s3_alone(declared: Declared) -> None:
    declare(config(cloud__input_keys=[KEY]))
    (found,) = [each for name, each in statements_of(declared).items() if name.startswith("Decrypt")]
    assert (found["Action"], found["Resource"]) == (["kms:Decrypt"], KEY)
    assert found["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}


@pytest.mark.parametrize(
    ("pods", "efa", "interfaces"), [(1, None, 0), (2, None, 32), (2, False, 0), (1, True, 32)]
)
def test_efa_is_for_pods_that_have_others_to_talk_to(
    pods: int, efa: bool | None, interfaces: int, declared: Declared
) -> None:
    nodes = {"instance_type": "p5.48xlarge", "maximum": 2} | ({} if efa is None else {"efa": efa})
    plugin = {"cloud__efa_plugin": "mirror/efa-plugin:1"} if interfaces else {}
    declare(config(cloud__nodes=nodes, own__training={"image": "registry/model:1", "pods": pods}, **plugin))
    templates = declared.resources["aws:ec2/launchTemplate:LaunchTemplate"]
    (template,) = [each for each in templates if each["instanceType"] == "p5.48xlarge"]
    kinds = [each["interfaceType"] for each in template.get("networkInterfaces", [])]
    assert kinds.count("efa-only") == interfaces
    assert ("aws:ec2/placementGroup:PlacementGroup" in declared.resources) is bool(interfaces)
    requests = pod_of(declared)["containers"][0]["resources"]["requests"]
    assert requests.get("vpc.amazonaws.com/efa", "0") == str(interfaces)


def test_pods_are_placed_by_the_networks_layers_where_that_is_asked_for(declared: Declared) -> None:
    nodes = {"instance_type": "p5.48xlarge", "maximum": 2, "minimum": 2, "topology": True}
    declare(config(cloud__nodes=nodes, cloud__efa_plugin="mirror/efa-plugin:1"))
    (topology,) = declared.resources["kubernetes:kueue.x-k8s.io/v1beta2:Topology"]
    levels = [each["nodeLabel"] for each in topology["spec"]["levels"]]
    assert levels == [
        *(f"topology.k8s.aws/network-node-layer-{each}" for each in (1, 2, 3)),
        "kubernetes.io/hostname",
    ]
    (job,) = declared.resources["kubernetes:jobset.x-k8s.io/v1alpha2:JobSet"]
    template = job["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    preferred = template["metadata"]["annotations"]["kueue.x-k8s.io/podset-preferred-topology"]
    assert preferred == "topology.k8s.aws/network-node-layer-3"


@pytest.mark.parametrize("minimum", [0, 1, 2])
def test_of_a_capacity_block_all_nodes_are_kept_or_none(minimum: int, declared: Declared) -> None:
    block = {"kind": "capacity-block", "reservation": "cr-0123456789abcdef0", "ends": "2099-01-31T11:30:00Z"}
    nodes = {"instance_type": "p5.48xlarge", "maximum": 2, "minimum": minimum}
    nodes |= {"zone": "eu-central-1a", "capacity": block}
    settings = config(cloud__nodes=nodes, cloud__efa_plugin="mirror/efa-plugin:1")
    if minimum == 1:
        said = "cloud:nodes.minimum is 1 of 2 nodes in a Capacity Block, .* set it to 0, or to 2"
        with pytest.raises(pulumi.RunError, match=said):
            declare(settings)
    else:
        declare(settings)
        sizes = {"desiredSize": minimum, "minSize": 0, "maxSize": 2}
        assert training_group(declared)["scalingConfig"] == sizes


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"aws__assumeRoles": [{"roleArn": "arn:aws:iam::000000000000:role/a", "externalId": "x"}]},
            "put the roles into a profile of ~/.aws/config",
        ),
        (
            {"cloud__vpc": {**GIVEN, "subnets": GIVEN["subnets"][:1]}},
            "cloud:vpc.subnets lists 1 subnets, and cloud:zones 2",
        ),
        ({"cloud__vpc": {**GIVEN, "id": "main"}}, "key 'cloud:vpc.id' is \"main\"; write vpc- and its"),
        (
            {"cloud__nodes": {"instance_type": "g6.2xlarge", "maximum": 2, "efa": True}},
            "cloud:nodes.efa is true, but g6.2xlarge has no EFA",
        ),
        (
            {"cloud__nodes": {"instance_type": "p5.48xlarge", "maximum": 2, "topology": True}},
            "cloud:nodes.topology places 2 pods on nodes that are there, and cloud:nodes.minimum is 0",
        ),
        (
            {"cloud__nodes": {"instance_type": "g6.2xlarge", "maximum": 2, "minimum": 2, "topology": True}},
            "EC2 does not tell where in the network a g6.2xlarge is",
        ),
        ({"cloud__addons": {"vpc-cnii": "v1"}}, "there is no add-on 'vpc-cnii' here"),
        ({"cloud__vpc": {**GIVEN, "s3_cidrs": []}}, "cloud:vpc.s3_cidrs is empty; list the networks"),
        ({"cloud__vpc": {**GIVEN, "s3_cidrs": ["pl-6ea54007"]}}, "cloud:vpc.s3_cidrs"),
        ({"cloud__vpc": {**GIVEN, "cidrs": ["0.0.0.0/0"]}}, "cloud:vpc.cidrs"),
        (
            {"cloud__vpc": {**GIVEN, "subnets": GIVEN["subnets"][:1] * 2}},
            "cloud:vpc.subnets names a subnet twice",
        ),
        (
            {"cloud__node_release": "1.34.2-20261118"},
            "cloud:node_release 1.34.2-20261118 is not of cloud:version 1.35",
        ),
        (
            {"cloud__addons": {"amazon-cloudwatch-observability": "v6"}},
            "which cloud:observe_days leaves out; set that, or remove it",
        ),
        ({"cloud__roles": {"path": "machines"}}, "invalid path of roles 'machines'"),
        ({"cloud__input_keys": ["alias/data"]}, "write the ARN of a key, not of an alias"),
    ],
)
def test_what_aws_would_refuse_is_one_clear_error_in_the_preview(
    changes: dict[str, Any], expected: str, declared: Declared
) -> None:
    refuses(changes, expected)


def test_where_the_cluster_gives_users_and_names_itself_pods_ask_for_no_other(
    declared: Declared, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config").write_text("{}")
    names = {"dns.operator.openshift.io/daemonset-dns": "default"}
    resolvers = [
        {"namespace": "openshift-dns", "labels": names, "port": 5353},
        {"cidrs": ["169.254.20.10/32"]},
    ]
    told = {"cloud:own_user": "false", "cloud:resolvers": json.dumps(resolvers)}
    declare(in_a_cluster() | told)
    assert pod_of(declared)["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    policies = declared.resources["kubernetes:networking.k8s.io/v1:NetworkPolicy"]
    (dns,) = [each["spec"]["egress"] for each in policies if each["metadata"]["name"] == "dns"]
    assert dns[0]["to"][0]["podSelector"] == {"matchLabels": names}
    assert {each["port"] for each in dns[0]["ports"]} == {5353}
    assert dns[1] == {
        "to": [{"ipBlock": {"cidr": "169.254.20.10/32"}}],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }
