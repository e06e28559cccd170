"""s4-cloud-serving on AWS: nodes in several zones, an internal load balancer, PrivateLink, nothing on the internet."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

import tests.aws_sdk  # noqa: F401 loads it
from recovery.aws.import_pending import BALANCING_BY_TAG, BY_TAG
from tests.stacks.declaring import config_of
from tests.stacks.serving import STACK, Declared, declare

ACCOUNT = "123456789012"
OF_A_CLUSTER = ("kubeconfig", "store", "destinations", "environment")


def config(**changes: Any) -> dict[str, str]:
    """The stack's file with AWS as its cloud."""
    aws = {
        "kind": "aws",
        "account": ACCOUNT,
        "zones": ["eu-central-1a", "eu-central-1b"],
        "admins": [f"arn:aws:iam::{ACCOUNT}:role/deployer"],
        "public_from": ["203.0.113.7/32"],
        "namespace": "serving",
    }
    given: dict[str, Any] = {f"cloud__{name}": None for name in OF_A_CLUSTER}
    given |= {f"cloud__{name}": value for name, value in aws.items()}
    given |= {"aws__region": "eu-central-1", "aws__defaultTags": {"tags": {"scenario:stack": STACK}}}
    given |= {"own__catalogue": {}, "own__endpoint": {}}
    return config_of(STACK, **given | changes)


def test_a_few_settings_are_enough_and_everything_is_private(serving_stack: Declared) -> None:
    outputs = declare(config())
    made = serving_stack.resources
    balancer = "serving-1.elb.eu-central-1.amazonaws.com"
    assert outputs["load_balancer"] == balancer
    assert outputs["catalogue"] == f"https://{balancer}:30944"
    assert outputs["cloud_endpoint"] == f"https://{balancer}:30943/v1"
    assert "private_link" not in outputs
    assert made["ServerCertificate"]["catalogue"]["names"] == [balancer]
    assert made["LoadBalancer"]["serving"]["internal"] is True
    assert outputs["catalogue_store"] == "s3://releases/s4-cloud-serving-0123456789abcdef"
    assert "InternetGateway" not in made
    assert {each["spec"]["type"] for each in made["Service"].values()} == {"NodePort"}


def test_catalogue_and_endpoint_have_nodes_in_every_zone(serving_stack: Declared) -> None:
    declare(config(cloud__zones=["eu-central-1a", "eu-central-1b", "eu-central-1c"]))
    groups = serving_stack.resources["NodeGroup"]
    assert {name: len(each["subnetIds"]) for name, each in groups.items()} == {"system": 3, "serving": 3}
    pods = {
        name: each["spec"]["template"]["spec"]["nodeSelector"]
        for name, each in serving_stack.resources["Deployment"].items()
    }
    assert pods == {"catalogue": {"scenario/nodes": "system"}, "endpoint": {"scenario/nodes": "serving"}}


def test_without_an_endpoint_there_are_no_nodes_for_it(serving_stack: Declared) -> None:
    declare(config(own__endpoint=None))
    assert set(serving_stack.resources["NodeGroup"]) == {"system"}
    assert set(serving_stack.resources["Listener"]) == {"serving-catalogue"}


def test_pods_write_into_the_stacks_bucket_and_delete_nothing(serving_stack: Declared) -> None:
    declare(config())
    (policy,) = [
        json.loads(each["policy"])
        for name, each in serving_stack.resources["RolePolicy"].items()
        if name == "server"
    ]
    allowed = {action for each in policy["Statement"] for action in each["Action"]}
    assert "s3:PutObject" in allowed
    assert not any("Delete" in action for action in allowed)
    association = serving_stack.resources["PodIdentityAssociation"]["server"]
    assert (association["namespace"], association["serviceAccount"]) == ("serving", "server")


def test_reports_and_audit_logs_are_not_kept_for_ever(serving_stack: Declared) -> None:
    declare(config(cloud__audit_days=30))
    (lifecycle,) = serving_stack.resources["BucketLifecycleConfiguration"].values()
    days = {
        each["filter"]["prefix"]: each["expiration"]["days"]
        for each in lifecycle["rules"]
        if "expiration" in each
    }
    folder = "s4-cloud-serving-0123456789abcdef"
    expected = {f"{folder}/reports/": 90, f"{folder}/tallies/": 90, f"{folder}/audit/": 30}
    assert expected.items() <= days.items()


def test_policies_of_the_network_are_enforced(serving_stack: Declared) -> None:
    declare(config())
    plugin = serving_stack.resources["Addon"]["serving-vpc-cni"]
    assert json.loads(plugin["configurationValues"]) == {"enableNetworkPolicy": "true"}
    clients = serving_stack.resources["NetworkPolicy"]["catalogue-clients"]["spec"]["ingress"][0]["from"]
    assert clients == [{"ipBlock": {"cidr": "10.80.0.0/16"}}]


def test_sites_of_listed_accounts_come_by_private_link(serving_stack: Declared) -> None:
    principal = "arn:aws:iam::210987654321:root"
    outputs = declare(config(cloud__principals=[principal]))
    assert outputs["private_link"] == "com.amazonaws.vpce.eu-central-1.vpce-svc-1"
    (service,) = serving_stack.resources["VpcEndpointService"].values()
    assert service["allowedPrincipals"] == [principal]


def test_what_a_killed_update_made_can_be_told_by_its_name_from_everything_else(
    serving_stack: Declared,
) -> None:
    declare(config(cloud__principals=["arn:aws:iam::210987654321:root"], cloud__nat=True))
    for kind in sorted({*BY_TAG.values(), *BALANCING_BY_TAG.values()}):
        tokens = [token for token, called in {**BY_TAG, **BALANCING_BY_TAG}.items() if called == kind]
        made = [
            each["tags"]["Name"]
            for token in tokens
            for each in serving_stack.resources.get(token.rpartition(":")[2], {}).values()
        ]
        assert made, kind
        assert len(set(made)) == len(made), kind


def test_gpu_nodes_get_nvidias_agents(serving_stack: Declared) -> None:
    declare(config(cloud__nodes={"instance_type": "g6.2xlarge"}, cloud__nat=True, own__endpoint={"gpus": 1}))
    plugin = serving_stack.resources["DaemonSet"]["nvidia-device-plugin"]
    assert plugin["spec"]["template"]["spec"]["nodeSelector"] == {"scenario/nodes": "serving"}
    assert plugin["metadata"]["namespace"] == "serving-nodes"
    assert serving_stack.resources["NodeGroup"]["serving"]["amiType"] == "AL2023_x86_64_NVIDIA"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cloud__public_from": None}, "cloud:public_from is empty: nothing outside the network"),
        (
            {"own__catalogue": {"service": "LoadBalancer", "port": 443}},
            "catalogue.service and catalogue.annotations",
        ),
        ({"own__endpoint": {"clients": ["fd00::/8"]}}, "endpoint.clients has an IPv6 network"),
        (
            {"own__endpoint": {"memory": "64Gi"}},
            "a pod requests 64 GiB of memory, but a m7i.2xlarge node has",
        ),
        ({"own__endpoint": {"scaling": {"max_replicas": 4}}}, "endpoint.scaling needs KEDA in the cluster"),
        ({"own__endpoint": {"gpus": 1}}, "a pod requests 1 GPUs, but a m7i.2xlarge node has 0"),
        (
            {"cloud__nodes": {"instance_type": "g6.2xlarge"}, "own__endpoint": {"gpus": 1}},
            "cannot pull NVIDIA's images; set cloud:registry",
        ),
        ({"cloud__nodes": {"instance_type": "m7i.2xlareg"}}, "did you mean 'm7i.2xlarge'?"),
        ({"cloud__system_nodes": {"instance_type": "m7g.large"}}, "m7g.large nodes have arm64 processors"),
        ({"aws__defaultTags": None}, "aws:defaultTags has no tag scenario:stack: s4-cloud-serving"),
    ],
)
def test_what_cannot_be_is_one_clear_error_in_the_preview(
    serving_stack: Declared, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        declare(config(**changes))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
