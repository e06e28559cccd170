"""The cluster: private, encrypted, logged, and open to nobody who is not named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from components.aws.caller import Caller
from components.errors import CloudError
from tests.components.aws.declaring import ACCOUNT, DEPLOYER, HERE, Declared, a_cluster, declared


def cluster(**more: Any) -> Declared:
    def build() -> dict[str, Any]:
        made = a_cluster(**more)
        outputs = ("name", "endpoint", "authority", "kubeconfig", "security_group_id", "key_arn")
        return {output: getattr(made, output) for output in outputs}

    return declared(build)


def test_a_cluster_is_private_encrypted_and_logged_and_nothing_else_is_made() -> None:
    made = cluster()
    assert made.names == sorted(
        [
            "cloudwatch/logGroup:LogGroup main-logs",
            "eks/accessEntry:AccessEntry main-role-deployer",
            "eks/accessPolicyAssociation:AccessPolicyAssociation main-role-deployer",
            "eks/addon:Addon main-eks-node-monitoring-agent",
            "eks/addon:Addon main-eks-pod-identity-agent",
            "eks/addon:Addon main-kube-proxy",
            "eks/addon:Addon main-vpc-cni",
            "eks/cluster:Cluster main",
            "iam/role:Role main-control-plane",
            "iam/rolePolicy:RolePolicy main-secrets",
            "iam/rolePolicyAttachment:RolePolicyAttachment main-control-plane",
            "kms/key:Key main",
        ]
    )
    control_plane = made.one("eks/cluster:Cluster")
    assert control_plane["vpcConfig"] == {
        "subnetIds": ["subnet-a", "subnet-b"],
        "endpointPrivateAccess": True,
        "endpointPublicAccess": False,
    }
    assert control_plane["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }
    assert control_plane["encryptionConfig"] == {
        "provider": {"keyArn": "arn:aws:test:::main"},
        "resources": ["secrets"],
    }
    assert len(control_plane["enabledClusterLogTypes"]) == 5
    assert control_plane["bootstrapSelfManagedAddons"] is False
    logs = made.one("cloudwatch/logGroup:LogGroup")
    assert logs == {"name": "/aws/eks/s2/cluster", "retentionInDays": 90, "kmsKeyId": "arn:aws:test:::main"}


def test_nodes_and_their_gpus_are_watched_behind_their_taints_too_unless_they_are_not_to_be() -> None:
    addons = cluster().of("eks/addon:Addon")
    told = json.loads(addons["main-eks-node-monitoring-agent"]["configurationValues"])
    assert told == {"dcgmAgent": {"tolerations": [{"operator": "Exists"}]}}
    assert "main-eks-node-monitoring-agent" not in cluster(monitor_nodes=False).of("eks/addon:Addon")


def test_versions_are_eks_s_own_choice_or_those_that_are_asked_for() -> None:
    made = cluster()
    assert not [each for each in made.of("eks/addon:Addon").values() if "addonVersion" in each]
    assert made.one("eks/cluster:Cluster")["upgradePolicy"] == {"supportType": "STANDARD"}
    chosen = cluster(addons={"vpc-cni": "v1.21.1-eksbuild.1"}, extended_support=True)
    assert chosen.of("eks/addon:Addon")["main-vpc-cni"]["addonVersion"] == "v1.21.1-eksbuild.1"
    assert chosen.one("eks/cluster:Cluster")["upgradePolicy"] == {"supportType": "EXTENDED"}


def test_a_profile_or_a_role_that_deploys_gets_the_clusters_tokens_too() -> None:
    for caller, told in (
        (Caller(profile="team"), ["--profile", "team"]),
        (Caller(role=DEPLOYER), ["--role-arn", DEPLOYER]),
    ):
        made = cluster(location=replace(HERE, caller=caller))
        (user,) = json.loads(made.outputs["kubeconfig"])["users"]
        assert user["user"]["exec"]["args"][-2:] == told


def test_only_the_admins_that_are_named_get_in() -> None:
    admin = f"arn:aws:iam::{ACCOUNT}:user/ops/anna"
    made = cluster(admins=[DEPLOYER, admin])
    entries = made.of("eks/accessEntry:AccessEntry")
    assert {each["principalArn"] for each in entries.values()} == {DEPLOYER, admin}
    policies = made.of("eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert set(policies) == set(entries) == {"main-role-deployer", "main-user-ops-anna"}
    for policy in policies.values():
        assert policy["policyArn"].endswith("/AmazonEKSClusterAdminPolicy")
        assert policy["accessScope"] == {"type": "cluster"}


def test_a_public_endpoint_is_only_for_the_networks_that_are_named() -> None:
    made = cluster(public_from=["203.0.113.0/24"])
    assert made.one("eks/cluster:Cluster")["vpcConfig"] == {
        "subnetIds": ["subnet-a", "subnet-b"],
        "endpointPrivateAccess": True,
        "endpointPublicAccess": True,
        "publicAccessCidrs": ["203.0.113.0/24"],
    }


def test_the_key_names_each_action_and_lets_logs_of_this_cluster_alone_use_it() -> None:
    key = cluster().statements("kms/key:Key", "main")
    account = key["TheAccountsPoliciesDecide"]
    assert account["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert not [action for each in key.values() for action in each["Action"] if "*" in action]
    assert {"kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"} <= set(account["Action"]), "no lock-out"
    logs = key["LogsOfThisCluster"]
    assert logs["Principal"] == {"Service": "logs.eu-central-1.amazonaws.com"}
    groups = f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:"
    where = [f"{groups}/aws/eks/s2/cluster", f"{groups}/aws/containerinsights/s2/*"]
    assert logs["Condition"] == {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": where}}


def test_the_kubeconfig_asks_the_aws_cli_and_holds_no_secret() -> None:
    outputs = cluster().outputs
    config = json.loads(outputs["kubeconfig"])
    (user,), (server,) = config["users"], config["clusters"]
    assert server["cluster"] == {
        "server": "https://cluster.example",
        "certificate-authority-data": "Q0E=",
    }
    assert list(user["user"]) == ["exec"]
    told = " ".join(["aws", *user["user"]["exec"]["args"]])
    assert told == "aws --region eu-central-1 eks get-token --cluster-name s2 --output json"
    assert outputs["security_group_id"] == "sg-cluster"
    assert outputs["name"] == "s2"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"admins": []}, "the cluster has no admins"),
        ({"admins": ["anna"]}, "admin 'anna' is not the ARN"),
        ({"admins": [f"arn:aws:sts::{ACCOUNT}:assumed-role/x/y"]}, r"is not the ARN .*\(of the role, not"),
        ({"version": "v1.34.1"}, "EKS has no Kubernetes version 'v1.34.1'"),
        ({"cluster_name": "s2 training"}, "invalid EKS cluster name 's2 training'"),
        ({"addons": {"vpc_cni": "v1"}}, "no add-on 'vpc_cni' here; the cluster has vpc-cni, kube-proxy,"),
        ({"public_from": ["0.0.0.0/0"]}, "public access from 0.0.0.0/0 admits 4294967296 addresses"),
        ({"public_from": ["203.0.113.7/24"]}, "public access from '203.0.113.7/24': .*host bits"),
    ],
)
def test_what_would_open_or_break_the_cluster_is_one_line(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(CloudError, match=said):
        cluster(**wrong)
