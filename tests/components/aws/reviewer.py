"""What a security reviewer looks at in an account: asked by boto3, without knowing how it was made."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED_OF_EVERYTHING = frozenset(
    {
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeLaunchConfigurations",
        "autoscaling:DescribeScalingActivities",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:GetInstanceTypesFromInstanceRequirements",
    }
)
"""Operations without resources in IAM: AWS allows them for `*` or not at all."""
MANAGED = {
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
}
"""AWS's own policies, which it demands for control planes and nodes; their wildcards are AWS's."""


@dataclass(frozen=True)
class Statement:
    """A statement of a policy, with where it was found."""

    where: str
    body: dict[str, Any]

    def listed(self, member: str) -> list[str]:
        value = self.body.get(member, [])
        return value if isinstance(value, list) else [value]


def statements() -> Iterator[Statement]:
    """Yield each statement of each policy of roles, keys, buckets and endpoints."""
    iam, kms, s3, ec2 = (boto3.client(name) for name in ("iam", "kms", "s3", "ec2"))
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        yield from _of(f"trust of {name}", role["AssumeRolePolicyDocument"])
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            found = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            yield from _of(f"role {name}", found)
    for key in customer_keys():
        yield from _of(
            f"key {key}", json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
        )
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        if name.startswith("releases"):  # there may be others, of the test's own
            yield from _of(f"bucket {name}", json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]))
    for endpoint in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if endpoint["State"].lower() == "deleted":
            continue
        yield from _of(f"endpoint {endpoint['ServiceName']}", json.loads(endpoint["PolicyDocument"]))


def _of(where: str, document: dict[str, Any]) -> Iterator[Statement]:
    yield from (Statement(where, each) for each in document["Statement"])


def customer_keys() -> list[str]:
    """Return the keys that are in use."""
    kms = boto3.client("kms")
    known = [each["KeyId"] for each in kms.list_keys()["Keys"]]
    return [key for key in known if kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"]


def wildcards() -> list[str]:
    """Return each statement that allows any operation, or one on anything, but where AWS demands it."""
    found = []
    for each in statements():
        if each.body["Effect"] != "Allow":
            continue
        actions = each.listed("Action")
        if [action for action in actions if "*" in action]:
            found.append(f"{each.where} allows {actions}")
        # Of a key its own policy says `*`, and means the key; an endpoint's narrows for one account.
        account = each.body.get("Condition", {}).get("StringEquals", {}).get("aws:PrincipalAccount")
        demanded = each.where.startswith("key ") or (each.where.startswith("endpoint ") and account)
        demanded = demanded or set(actions) <= ASKED_OF_EVERYTHING
        if "*" in each.listed("Resource") and not demanded:
            found.append(f"{each.where} allows {actions} on everything")
        principal = each.body.get("Principal")
        if principal in ("*", {"AWS": "*"}) and not each.where.startswith("endpoint "):
            found.append(f"{each.where} is for everybody")
    return found


def attached() -> set[str]:
    """Return the managed policies of all roles."""
    iam = boto3.client("iam")
    return {
        policy["PolicyName"]
        for role in iam.list_roles()["Roles"]
        for policy in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    }


def open_to_the_world(vpc: str) -> list[str]:
    """Return what lets the internet in or out: gateways, routes, addresses, public subnets, open groups."""
    ec2 = boto3.client("ec2")
    here = [{"Name": "vpc-id", "Values": [vpc]}]
    found = [f"address {each['PublicIp']}" for each in ec2.describe_addresses()["Addresses"]]
    attachments = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    found += [
        each["InternetGatewayId"]
        for each in ec2.describe_internet_gateways(Filters=attachments)["InternetGateways"]
    ]
    for subnet in ec2.describe_subnets(Filters=here)["Subnets"]:
        found += [f"public {subnet['SubnetId']}"] if subnet["MapPublicIpOnLaunch"] else []
    for table in ec2.describe_route_tables(Filters=here)["RouteTables"]:
        found += [
            f"route {route}"
            for route in table["Routes"]
            if route.get("DestinationCidrBlock") == "0.0.0.0/0" or route.get("DestinationIpv6CidrBlock")
        ]
    balancers = boto3.client("elbv2").describe_load_balancers()["LoadBalancers"]
    found += [
        f"load balancer {each['LoadBalancerName']}" for each in balancers if each["Scheme"] != "internal"
    ]
    for group in ec2.describe_security_groups(Filters=here)["SecurityGroups"]:
        found += [
            f"{group['GroupName']} from {address['CidrIp']}"
            for permission in group["IpPermissions"]
            for address in permission["IpRanges"]
            if not ipaddress.ip_network(address["CidrIp"]).is_private
        ]
    return found


def templates() -> list[dict[str, Any]]:
    """Return the data of the newest version of each launch template."""
    ec2 = boto3.client("ec2")
    return [
        ec2.describe_launch_template_versions(
            LaunchTemplateId=each["LaunchTemplateId"], Versions=["$Latest"]
        )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        for each in ec2.describe_launch_templates()["LaunchTemplates"]
    ]
