"""What a tested resource needs around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.lab.aws.driver import Driver, Resource


def policy(**statement: Any) -> str:
    whole = {"Effect": "Allow", "Action": "s3:GetObject"} | statement
    return json.dumps({"Version": "2012-10-17", "Statement": [whole]})


@dataclass
class World:
    """What the tested resource needs, made on demand, and deleted after it."""

    driver: Driver

    def __post_init__(self) -> None:
        self.made: list[Resource] = []

    def make(self, token: str, properties: dict[str, Any], name: str = "needed") -> Resource:
        self.made.append(self.driver.create(token, properties, name))
        return self.made[-1]

    def vpc(self) -> str:
        return self.make("aws:ec2/vpc:Vpc", {"cidrBlock": "10.9.0.0/16"}).id

    def subnet(self, vpc: str = "", number: int = 0) -> str:
        place = {"vpcId": vpc or self.vpc(), "cidrBlock": f"10.9.{number}.0/24"}
        return self.make("aws:ec2/subnet:Subnet", place | {"availabilityZone": "eu-central-1a"}).id

    def group(self, vpc: str = "") -> str:
        return self.make("aws:ec2/securityGroup:SecurityGroup", {"vpcId": vpc or self.vpc()}).id

    def table(self, vpc: str) -> str:
        return self.make("aws:ec2/routeTable:RouteTable", {"vpcId": vpc}).id

    def gateway(self, vpc: str) -> str:
        return self.make("aws:ec2/internetGateway:InternetGateway", {"vpcId": vpc}).id

    def address(self) -> str:
        return self.make("aws:ec2/eip:Eip", {"domain": "vpc"}).id

    def endpoint(self) -> str:
        service = {"serviceName": "com.amazonaws.eu-central-1.s3"}
        return self.make("aws:ec2/vpcEndpoint:VpcEndpoint", {"vpcId": self.vpc(), **service}).id

    def balancer(self, vpc: str = "") -> str:
        asked = {"loadBalancerType": "network", "internal": True, "subnets": [self.subnet(vpc)]}
        return self.make("aws:lb/loadBalancer:LoadBalancer", asked).id

    def target(self, vpc: str) -> str:
        asked = {"vpcId": vpc, "port": 30944, "protocol": "TCP", "targetType": "instance"}
        return self.make("aws:lb/targetGroup:TargetGroup", asked).id

    def scaling_group(self, vpc: str) -> str:
        """That of a node group."""
        template = self.make("aws:ec2/launchTemplate:LaunchTemplate", {"instanceType": "m7i.large"}).id
        subnets, role = [self.subnet(vpc)], self.role().state["arn"]
        cluster = self.make(
            "aws:eks/cluster:Cluster", {"roleArn": role, "vpcConfig": {"subnetIds": subnets}}
        ).id
        sizes = {"desiredSize": 1, "minSize": 1, "maxSize": 1}
        group = {"clusterName": cluster, "nodeRoleArn": role, "subnetIds": subnets, "scalingConfig": sizes}
        launched = {"launchTemplate": {"id": template, "version": "1"}}
        made = self.make("aws:eks/nodeGroup:NodeGroup", group | launched)
        return str(made.state["resources"][0]["autoscalingGroups"][0]["name"])

    def role(self) -> Resource:
        trust = policy(Action="sts:AssumeRole", Principal={"Service": "eks.amazonaws.com"})
        return self.make("aws:iam/role:Role", {"assumeRolePolicy": trust})

    def cluster(self) -> Resource:
        network = {"subnetIds": [self.subnet()]}
        role = self.role().state["arn"]
        return self.make("aws:eks/cluster:Cluster", {"roleArn": role, "vpcConfig": network})

    def entry(self) -> dict[str, Any]:
        asked = {"clusterName": self.cluster().id, "principalArn": "arn:aws:iam::123456789012:role/dev"}
        self.make("aws:eks/accessEntry:AccessEntry", asked)
        return asked

    def bucket(self) -> str:
        return self.make("aws:s3/bucket:Bucket", {}).id

    def repository(self) -> str:
        return self.make("aws:ecr/repository:Repository", {}).id

    def key(self) -> str:
        return self.make("aws:kms/key:Key", {"description": "x"}).id
