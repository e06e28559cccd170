"""What a component declares, recorded by Pulumi's mocks: no engine, no plugin, no AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import pulumi

from components.aws.cluster import Cluster, ClusterArgs
from components.aws.location import Location
from tests.pulumi_mocks import mocked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACCOUNT = "123456789012"
DEPLOYER = f"arn:aws:iam::{ACCOUNT}:role/deployer"
S3_ADDRESSES = ["3.5.134.0/23", "52.219.46.0/23"]
HERE = Location(account=ACCOUNT, region="eu-central-1", zones=("eu-central-1a", "eu-central-1b"))


@dataclass
class Declared:
    """Resources by type and name, in the wire's spelling; `outputs` is what the build returned, resolved."""

    resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """As in `ec2/vpc:Vpc main`, sorted."""
        return sorted(f"{kind.removeprefix('aws:')} {name}" for kind, name in self.resources)

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a type, as in `ec2/vpc:Vpc`, by name."""
        return {name: inputs for (each, name), inputs in self.resources.items() if each == f"aws:{kind}"}

    def one(self, kind: str) -> dict[str, Any]:
        """Return the only resource of a type."""
        (inputs,) = self.of(kind).values()
        return inputs

    def statements(self, kind: str, name: str, document: str = "policy") -> dict[str, dict[str, Any]]:
        """Return the statements of a policy by their ID, or `0` and so on where they have none."""
        statements = json.loads(self.of(kind)[name][document])["Statement"]
        return {each.get("Sid", str(number)): each for number, each in enumerate(statements)}


class _Recorder(pulumi.runtime.Mocks):
    def __init__(self) -> None:
        self.declared = Declared()

    def call(self, args: pulumi.runtime.MockCallArgs) -> NoReturn:
        raise AssertionError(f"{args.token} asks AWS, which a preview without credentials cannot")

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:  # a component
            return None, dict(args.inputs)
        self.declared.resources[args.typ, args.name] = dict(args.inputs)
        given: dict[str, Any] = {"arn": f"arn:aws:test:::{args.name}", "bucket": args.name, "name": args.name}
        if args.typ == "aws:eks/nodeGroup:NodeGroup":
            given |= {"resources": [{"autoscalingGroups": [{"name": f"eks-{args.name}"}]}]}
        made = {**given, "nodeGroupName": args.name, "repositoryUrl": f"registry/{args.name}", **args.inputs}
        if args.inputs.get("vpcEndpointType") == "Gateway":
            made["cidrBlocks"] = S3_ADDRESSES
        if args.typ == "aws:eks/cluster:Cluster":
            made["endpoint"] = "https://cluster.example"
            made["certificateAuthority"] = {"data": "Q0E="}
            made["vpcConfig"] = {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}
        return f"{args.name}-id", made | ({"latestVersion": 1} if "launchTemplate" in args.typ else {})


def declared(build: Callable[[], Mapping[str, pulumi.Output[Any]] | pulumi.Resource]) -> Declared:
    """Run a build in a program of its own; return what it declared, and the outputs that it returns."""
    recorder = _Recorder()

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> pulumi.Output[Any]:
        def keep(outputs: dict[str, Any]) -> None:
            recorder.declared.outputs = outputs

        built = build()
        outputs = {} if isinstance(built, pulumi.Resource) else built
        return pulumi.Output.all(**outputs).apply(keep)

    with mocked(recorder):
        run()
    return recorder.declared


def a_cluster(**more: Any) -> Cluster:
    """Return a cluster for what needs one."""
    given: dict[str, Any] = {"location": HERE, "cluster_name": "s2", "version": "1.34", "admins": [DEPLOYER]}
    given |= {"subnet_ids": ["subnet-a", "subnet-b"]}
    return Cluster("main", ClusterArgs(**(given | more)))
