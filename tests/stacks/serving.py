"""s4-cloud-serving, declared before mocks that answer as an engine which makes everything at once."""

from __future__ import annotations

from typing import Any, NoReturn

import pulumi

from tests.components.aws.declaring import S3_ADDRESSES
from tests.stacks import declaring

STACK = "s4-cloud-serving"
RELEASE = f"assistant@sha256:{'0' * 64}"


class Declared(pulumi.runtime.Mocks):
    """Answers as an engine that makes everything at once; keeps what was declared, by type and name."""

    def __init__(self) -> None:
        self.resources: dict[str, dict[str, dict[str, Any]]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        declaring.judge(STACK, args)
        self.resources.setdefault(args.typ.rpartition(":")[2], {})[args.name] = args.inputs
        made = dict(args.inputs)
        if args.typ.endswith("StackReference"):
            made["outputs"] = {
                "release": RELEASE,
                "verification_key": "KEY",
                "release_path": "/releases/one",
            }
        made |= _of_aws(args)
        made |= {"identity": "0123456789abcdef"} if args.typ.endswith(":StackId") else {}
        made |= {"published": args.inputs.get("release"), "token": f"token of {args.name}"}
        named = ("certificate", "private_key", "public_key", "key", "sha256")
        made |= {name: f"{name} of {args.name}" for name in named if made.get(name) is None}
        return f"{args.name}-id", made

    def call(self, args: pulumi.runtime.MockCallArgs) -> NoReturn:
        raise AssertionError(f"a preview asks nobody, but {args.token} was called")


def _of_aws(args: pulumi.runtime.MockResourceArgs) -> dict[str, Any]:
    if not args.typ.startswith("aws:"):
        return {}
    kind = args.typ.rpartition(":")[2]
    if kind == "Cluster":
        reach = {**args.inputs["vpcConfig"], "clusterSecurityGroupId": "sg-cluster"}
        told = {"endpoint": "https://cluster.example", "certificateAuthority": {"data": "Q0E="}}
        return {**told, "vpcConfig": reach, "name": args.inputs["name"], "arn": "arn:of:cluster"}
    if kind == "NodeGroup":
        return {"resources": [{"autoscalingGroups": [{"name": f"eks-{args.name}"}]}]}
    if kind == "LoadBalancer":
        return {"arn": "arn:of:balancer", "dnsName": "serving-1.elb.eu-central-1.amazonaws.com"}
    if kind == "VpcEndpointService":
        return {"serviceName": "com.amazonaws.vpce.eu-central-1.vpce-svc-1"}
    if kind == "LaunchTemplate":
        return {"latestVersion": 1}
    if kind == "VpcEndpoint":
        return {"cidrBlocks": S3_ADDRESSES}
    return {"arn": f"arn:of:{args.name}", "bucket": args.name}


def declare(settings: dict[str, str]) -> dict[str, Any]:
    """Run the program; its outputs."""
    return declaring.declare(STACK, settings)
