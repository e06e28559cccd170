"""What the stack does not declare and the table takes for granted: people, AWS's services, and what is others'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.stacks.policy_table import arns
from tests.stacks.policy_table.account import Account, managed

FOREIGN = "999999999999"
_EKS = "602401143452"
"""The account of EKS's own images in most regions: https://docs.aws.amazon.com/eks/latest/userguide/add-ons-images.html"""
_AMAZON = "111111111111"
"""Stands for accounts of AWS and of Kubernetes."""


@dataclass(frozen=True)
class Principal:
    """Who asks: `says` is how the table calls them, `arn` how AWS does; None: nobody in particular."""

    says: str
    arn: str | None

    @property
    def account(self) -> str | None:
        """Their account; AWS's services have none."""
        return self.arn.split(":")[4] if self.arn and self.arn.startswith("arn:") else None


TRAINER = Principal("a training pod", arns.role("trainer"))
AUTOSCALER = Principal("the autoscaler", arns.role("autoscaler"))
NODE = Principal("a training node", arns.role("training"))
SYSTEM_NODE = Principal("a system node", arns.role("system"))
CONTROL_PLANE = Principal("the control plane", arns.role("training-control-plane"))
DEPLOYER = Principal("the deployer", f"arn:aws:iam::{arns.ACCOUNT}:role/deployer")
READER = Principal("a reader", f"arn:aws:iam::{arns.ACCOUNT}:role/reader")
COLLEAGUE = Principal("a colleague with s3:*", f"arn:aws:iam::{arns.ACCOUNT}:role/colleague")
STRANGER = Principal("a stranger", f"arn:aws:iam::{arns.ACCOUNT}:role/stranger")
FOREIGNER = Principal("a foreigner", f"arn:aws:iam::{FOREIGN}:role/foreigner")
ANYBODY = Principal("anybody", None)
ECR = Principal("ECR's signed address", f"arn:aws:iam::{_AMAZON}:role/ecr")
LOGS = Principal("CloudWatch Logs", f"logs.{arns.REGION}.amazonaws.com")
LOGS_ELSEWHERE = Principal("CloudWatch Logs of us-east-1", "logs.us-east-1.amazonaws.com")
POD_IDENTITY = Principal("EKS Pod Identity", "pods.eks.amazonaws.com")
EKS = Principal("EKS", "eks.amazonaws.com")
EC2 = Principal("EC2", "ec2.amazonaws.com")

FOUNDATION = "arn:aws:s3:::your-models"
"""The bucket of the foundation model in the shipped stack file; it has no policy."""
OTHER_BUCKET = "arn:aws:s3:::accounts-payable"
"""Another bucket of the account, without a policy."""
FOREIGN_BUCKET = "arn:aws:s3:::drop-box"
"""Of another account, and open to everybody."""
LAYERS_OF_ECR = f"arn:aws:s3:::prod-{arns.REGION}-starport-layer-bucket"
LAYERS_OF_ECR_ELSEWHERE = "arn:aws:s3:::prod-us-east-1-starport-layer-bucket"
LAYERS_OF_KUBERNETES = f"arn:aws:s3:::prod-registry-k8s-io-{arns.REGION}"
IMAGES_OF_EKS = arns.repository("amazon-k8s-cni", _EKS)
FOREIGN_REPOSITORY = arns.repository("tools", FOREIGN)
FOREIGN_ROLE = arns.role("foreign", FOREIGN)
OWN_SIGNING_KEY = arns.key("own signing")
"""A key of the user's that signs releases, where the settings name one instead of the stack's."""
KEY_OF_MODELS = arns.key("models")
"""A key of the user's that the foundation model is encrypted with, where the settings name one."""
FOREIGN_KEY = arns.key("foreign", FOREIGN)

ADMIN = "AdministratorAccess/0"
"""What IAM allows the deployer, in this table: everything."""

OWNERS = {
    FOREIGN_BUCKET: FOREIGN,
    LAYERS_OF_ECR: _AMAZON,
    LAYERS_OF_ECR_ELSEWHERE: _AMAZON,
    LAYERS_OF_KUBERNETES: _AMAZON,
}
"""A bucket's ARN does not name the account that it belongs to; the others are the stack's own account's."""


def _allowing(actions: str, principal: Any = None) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    if principal:
        statement["Principal"] = principal
    return {"Version": "2012-10-17", "Statement": [statement]}


def _root(account: str) -> dict[str, str]:
    return {"AWS": f"arn:aws:iam::{account}:root"}


def add(account: Account) -> None:
    """Add them to an account: what IAM grants to people of it, and the policies of others' things."""
    reading = {"Action": ["s3:GetObject", "s3:ListBucket", "kms:Decrypt"], "Effect": "Allow", "Resource": "*"}
    account.documents |= {
        "reader": {"Version": "2012-10-17", "Statement": [reading]},
        "colleague": _allowing("s3:*"),
        "stranger": None,
        "foreigner": _allowing("*"),
        "ecr": _allowing("s3:GetObject"),
        "open to everybody": _allowing("*", "*"),
        "key of the user": _allowing("kms:*", _root(arns.ACCOUNT)),
        "trust of deployer": _allowing("sts:*", _root(arns.ACCOUNT)),
        "foreign": _allowing("*", _root(FOREIGN)),
        "foundation policy": None,
    }
    account.identities |= {
        str(DEPLOYER.arn): [managed(account, "AdministratorAccess")],
        str(READER.arn): ["reader"],
        str(COLLEAGUE.arn): ["colleague"],
        str(STRANGER.arn): ["stranger"],
        str(FOREIGNER.arn): ["foreigner"],
        str(ECR.arn): ["ecr"],
    }
    for shared in (
        FOREIGN_BUCKET,
        LAYERS_OF_ECR,
        LAYERS_OF_ECR_ELSEWHERE,
        LAYERS_OF_KUBERNETES,
        IMAGES_OF_EKS,
    ):
        account.resources[shared] = "open to everybody"
    for theirs in (FOREIGN_KEY, FOREIGN_ROLE, FOREIGN_REPOSITORY):
        account.resources[theirs] = "foreign"
    account.resources |= dict.fromkeys((OWN_SIGNING_KEY, KEY_OF_MODELS), "key of the user")
    account.resources[str(DEPLOYER.arn)] = "trust of deployer"
    account.resources[FOUNDATION] = "foundation policy"
