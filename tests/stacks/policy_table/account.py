"""The policies of an AWS account in which the shipped stack file was deployed, by what they are attached to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moto.iam.aws_managed_policies import aws_managed_policies_data

from stacks.settings.read import PROJECT
from tests.pulumi_mocks import mocked
from tests.stacks.declaring import config_of, declare
from tests.stacks.policy_table import arns
from tests.stacks.policy_table.breaking import PUBLIC_ACCESS_BLOCK
from tests.stacks.test_s2_cloud_training import STACK, Declared

if TYPE_CHECKING:
    import pulumi

Document = dict[str, Any]
_MANAGED = json.loads(aws_managed_policies_data)


@dataclass
class Account:
    """Policies by name, and where they are.

    Attributes:
        documents: each policy. None: what could have one has none.
        identities: names of the policies of a role, by its ARN.
        resources: the name of the policy of a bucket, key, role or repository, by its ARN.
        endpoints: the name of a VPC endpoint's policy, and its ID, by service.
        blocked: the name of what closes a bucket to the public whatever its policy says, by the bucket's ARN.
        written: names of the policies that the program wrote, neither AWS nor anybody else.

    """

    documents: dict[str, Document | None] = field(default_factory=dict)
    identities: dict[str, list[str]] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)
    endpoints: dict[str, tuple[str, str]] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)


class _Recorder(Declared):
    """Answers as an engine that makes everything at once, with names as AWS gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.named: dict[str, dict[str, dict[str, Any]]] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        identifier, made = super().new_resource(args)
        kind = args.typ.removeprefix("aws:")
        self.named.setdefault(kind, {})[args.name] = args.inputs
        match kind:
            case "s3/bucket:Bucket":
                made |= {"bucket": arns.physical(args.name), "arn": arns.bucket(args.name)}
            case "eks/cluster:Cluster":
                made |= {"arn": arns.cluster(args.inputs["name"])}
            case "kms/key:Key":
                made |= {"arn": arns.key(args.name)}
            case "ecr/repository:Repository":
                made |= {"arn": arns.repository(args.inputs["name"])}
            case "iam/role:Role":
                identifier = arns.physical(args.name)
                made |= {"name": identifier, "arn": arns.role(args.name)}
            case "ec2/vpcEndpoint:VpcEndpoint":
                identifier = arns.endpoint_id(args.name)
        return identifier, made


def deployed(**changes: Any) -> Account:
    """Declare the shipped stack, with changes to its settings, and gather its policies."""
    recorder = _Recorder()
    with mocked(recorder, project=PROJECT, stack=STACK):
        declare(STACK, config_of(STACK, **changes))
    account, named = Account(), recorder.named
    for name, inputs in named["iam/role:Role"].items():
        account.identities[arns.role(name)] = []
        _of_a_resource(account, f"trust of {name}", arns.role(name), inputs["assumeRolePolicy"])
    roles = {arn.rpartition("/")[2]: policies for arn, policies in account.identities.items()}
    for name, inputs in named["iam/rolePolicy:RolePolicy"].items():
        account.documents[name] = json.loads(inputs["policy"])
        roles[inputs["role"]].append(name)
    for inputs in named["iam/rolePolicyAttachment:RolePolicyAttachment"].values():
        roles[inputs["role"]].append(managed(account, inputs["policyArn"].rpartition("/")[2]))
    for name, inputs in named["s3/bucketPolicy:BucketPolicy"].items():
        _of_a_resource(account, "bucket policy", arns.bucket(name), inputs["policy"])
    for name, inputs in named["kms/key:Key"].items():
        _of_a_resource(account, f"key {name}", arns.key(name), inputs["policy"])
    for inputs in named["ecr/repository:Repository"].values():
        account.resources[arns.repository(inputs["name"])] = "repository policy"
    account.documents["repository policy"] = None
    for name, inputs in named["s3/bucketPublicAccessBlock:BucketPublicAccessBlock"].items():
        if inputs["restrictPublicBuckets"]:
            account.blocked[arns.bucket(name)] = PUBLIC_ACCESS_BLOCK
            account.documents[PUBLIC_ACCESS_BLOCK] = {"Statement": []}
    _endpoints(account, named)
    account.written = account.documents.keys() - _MANAGED.keys()
    return account


def managed(account: Account, name: str) -> str:
    """Add one of AWS's own policies, as it was published when the moto in use was; return its name."""
    account.documents[name] = _MANAGED[name]["Document"]
    return name


def _of_a_resource(account: Account, name: str, arn: str, policy: str) -> None:
    account.documents[name] = json.loads(policy)
    account.resources[arn] = name


def _endpoints(account: Account, named: dict[str, dict[str, dict[str, Any]]]) -> None:
    separate = {
        each["vpcEndpointId"]: each["policy"]
        for each in named["ec2/vpcEndpointPolicy:VpcEndpointPolicy"].values()
    }
    for name, inputs in named["ec2/vpcEndpoint:VpcEndpoint"].items():
        service = inputs["serviceName"].removeprefix(f"com.amazonaws.{arns.REGION}.")
        identifier = arns.endpoint_id(name)
        policy = inputs.get("policy") or separate[identifier]
        account.documents[f"endpoint {service}"] = json.loads(policy)
        account.endpoints[service] = (f"endpoint {service}", identifier)
