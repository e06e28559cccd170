"""EKS clusters, their node groups and add-ons."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab.aws.stand_in.adapter import Adapter

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud

_SECONDS_BETWEEN_LOOKS = 0.5


class Eks(Adapter):
    """A resource of EKS: its tags are a mapping, set at creation and changed by ARN."""

    service = "eks"

    def make(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> Properties:
        """Create it; return EKS's answer."""
        return self.call(aws, self.creates, **self.members(inputs), **({"tags": tags} if tags else {}))

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        """Set tags and delete removed ones."""
        if gone:
            self.call(aws, "UntagResource", resourceArn=live["arn"], tagKeys=gone)
        if new:
            self.call(aws, "TagResource", resourceArn=live["arn"], tags=new)


class Cluster(Eks):
    token, creates = "aws:eks/cluster:Cluster", "CreateCluster"
    names = {
        "vpcConfig": "resourcesVpcConfig",
        "enabledClusterLogTypes": None,
        "forceUpdateVersion": None,
    }
    reads = {"vpcConfig": "resourcesVpcConfig", "clusterId": None}
    replaces = frozenset(
        {
            *("name", "roleArn", "kubernetesNetworkConfig", "encryptionConfig", "bootstrapSelfManagedAddons"),
            "accessConfig.bootstrapClusterCreatorAdminPermissions",
        }
    )
    updates = frozenset(
        {
            *("vpcConfig", "enabledClusterLogTypes", "version", "accessConfig", "upgradePolicy"),
            *("deletionProtection", "forceUpdateVersion"),
        }
    )
    autoname = "name"

    def members(self, inputs: Properties) -> Properties:
        return super().members(inputs) | _logging(inputs.get("enabledClusterLogTypes") or [])

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        _require_role(aws, inputs["roleArn"])
        name = str(self.make(aws, inputs, tags)["cluster"]["name"])
        while self.call(aws, "DescribeCluster", name=name)["cluster"]["status"] == "CREATING":
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return name

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        """Change one setting per call, as EKS requires."""
        if "version" in changed and inputs.get("version"):
            self.call(aws, "UpdateClusterVersion", name=identity, version=inputs["version"])
        members = self.members(inputs)
        for name, member in (
            ("vpcConfig", "resourcesVpcConfig"),
            ("enabledClusterLogTypes", "logging"),
            ("accessConfig", "accessConfig"),
            ("upgradePolicy", "upgradePolicy"),
            ("deletionProtection", "deletionProtection"),
        ):
            if name in changed and member in members:
                told = members[member]
                if name == "accessConfig":
                    told = {"authenticationMode": told["authenticationMode"]}
                self.call(aws, "UpdateClusterConfig", name=identity, **{member: told})

    def read(self, aws: Cloud, identity: str) -> Properties:
        found = self.call(aws, "DescribeCluster", name=identity)["cluster"]
        kinds = [
            kind
            for each in found.get("logging", {}).get("clusterLogging", [])
            if each.get("enabled")
            for kind in each["types"]
        ]
        issuer = found.get("identity", {}).get("oidc", {}).get("issuer")
        return self.outputs(found) | {
            "enabledClusterLogTypes": kinds,
            "identities": [{"oidcs": [{"issuer": issuer}]}],
        }

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, "DeleteCluster", name=identity)


def _logging(wanted: list[str]) -> Properties:
    every = ("api", "audit", "authenticator", "controllerManager", "scheduler")
    groups = [{"types": sorted(wanted), "enabled": True}] if wanted else []
    if rest := [kind for kind in every if kind not in wanted]:
        groups.append({"types": rest, "enabled": False})
    return {"logging": {"clusterLogging": groups}}


def _require_role(aws: Cloud, arn: str) -> None:
    """Refuse a role that does not exist, which moto would accept."""
    aws.client("iam").get_role(RoleName=arn.rpartition("/")[2])


class NodeGroup(Eks):
    token, creates = "aws:eks/nodeGroup:NodeGroup", "CreateNodegroup"
    names = {
        "nodeRoleArn": "nodeRole",
        "subnetIds": "subnets",
        "forceUpdateVersion": None,
        "remoteAccess.sourceSecurityGroupIds": "sourceSecurityGroups",
    }
    reads = {
        "nodeRoleArn": "nodeRole",
        "subnetIds": "subnets",
        "arn": "nodegroupArn",
    }
    replaces = frozenset(
        {
            *("clusterName", "nodeGroupName", "nodeRoleArn", "subnetIds", "amiType", "capacityType"),
            *("diskSize", "instanceTypes", "remoteAccess", "launchTemplate.id", "launchTemplate.name"),
        }
    )
    updates = frozenset(
        {
            *("scalingConfig", "labels", "taints", "updateConfig", "version", "releaseVersion"),
            *("launchTemplate", "forceUpdateVersion", "nodeRepairConfig"),
        }
    )
    autoname = "nodeGroupName"

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        _require_role(aws, inputs["nodeRoleArn"])
        template = inputs.get("launchTemplate") or {}
        if template.get("id"):
            self.call_ec2(aws, template["id"])
        self.make(aws, inputs, tags)
        identity = f"{inputs['clusterName']}:{inputs['nodeGroupName']}"
        if template.get("id"):
            self._scale(aws, identity, inputs, template["id"])
        return identity

    def _scale(self, aws: Cloud, identity: str, inputs: Properties, template: str) -> None:
        """Make the autoscaling group that EKS makes and moto only names; without instances."""
        aws.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=self._scaling_group(aws, identity),
            LaunchTemplate={"LaunchTemplateId": template},
            VPCZoneIdentifier=",".join(inputs["subnetIds"]),
            MinSize=0,
            MaxSize=0,
        )

    def _scaling_group(self, aws: Cloud, identity: str) -> str:
        cluster, _, name = identity.partition(":")
        found = self.call(aws, "DescribeNodegroup", clusterName=cluster, nodegroupName=name)["nodegroup"]
        return str(found["resources"]["autoScalingGroups"][0]["name"])

    def call_ec2(self, aws: Cloud, template: str) -> None:
        """Refuse a launch template that does not exist, which moto would accept."""
        aws.client("ec2").describe_launch_templates(LaunchTemplateIds=[template])

    def read(self, aws: Cloud, identity: str) -> Properties:
        cluster, _, name = identity.partition(":")
        found = self.call(aws, "DescribeNodegroup", clusterName=cluster, nodegroupName=name)["nodegroup"]
        return {"labels": {}, "tags": {}, **self.outputs(found)}

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        cluster, _, name = identity.partition(":")
        who = {"clusterName": cluster, "nodegroupName": name}
        members = self.members(inputs)
        live = self.call(aws, "DescribeNodegroup", **who)["nodegroup"]
        told: Properties = {
            key: members[key] for key in ("scalingConfig", "updateConfig") if key in changed & set(members)
        }
        if "labels" in changed:
            wanted, there = members.get("labels", {}), live.get("labels") or {}
            told["labels"] = {"addOrUpdateLabels": wanted, "removeLabels": sorted(set(there) - set(wanted))}
        if "taints" in changed:
            kept = members.get("taints", [])
            lost = [each for each in live.get("taints") or [] if each not in kept]
            told["taints"] = {"addOrUpdateTaints": kept, "removeTaints": lost}
        if told:
            self.call(aws, "UpdateNodegroupConfig", **who, **told)
        newer = {
            key: members[key]
            for key in ("version", "releaseVersion", "launchTemplate")
            if key in changed & set(members)
        }
        if newer:
            self.call(aws, "UpdateNodegroupVersion", **who, **newer)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        cluster, _, name = identity.partition(":")
        group = self._scaling_group(aws, identity)
        self.call(aws, "DeleteNodegroup", clusterName=cluster, nodegroupName=name)
        scaling = aws.client("autoscaling")
        if scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]:
            scaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)


class Addon(Eks):
    token, creates = "aws:eks/addon:Addon", "CreateAddon"
    names = {
        "resolveConflictsOnCreate": "resolveConflicts",
        "resolveConflictsOnUpdate": None,
        "preserve": None,
    }
    reads = {"arn": "addonArn"}
    replaces = frozenset({"clusterName", "addonName"})
    updates = frozenset(
        {
            *("addonVersion", "configurationValues", "serviceAccountRoleArn", "preserve"),
            *("resolveConflictsOnCreate", "resolveConflictsOnUpdate"),
        }
    )
    collides = replaces

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.make(aws, inputs, tags)
        return f"{inputs['clusterName']}:{inputs['addonName']}"

    def read(self, aws: Cloud, identity: str) -> Properties:
        cluster, _, name = identity.partition(":")
        return self.outputs(self.call(aws, "DescribeAddon", clusterName=cluster, addonName=name)["addon"])

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        members = self.members(inputs)
        self.call(aws, "UpdateAddon", **members)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        cluster, _, name = identity.partition(":")
        self.call(aws, "DeleteAddon", clusterName=cluster, addonName=name)


ADAPTERS = (Cluster, NodeGroup, Addon)
