"""Shells on nodes by Session Manager, for those who ask for them: what nodes tell Systems Manager, and no secrets."""

from __future__ import annotations

from tests.stacks.policy_table import arns
from tests.stacks.policy_table.given import FOREIGN, FOREIGNER, NODE, SYSTEM_NODE, TRAINER
from tests.stacks.policy_table.rows import CLOSED, INSIDE, OUTSIDE, may, may_not

_HERE = f"{arns.REGION}:{arns.ACCOUNT}"
INSTANCE, DOCUMENT = (
    f"arn:aws:ec2:{_HERE}:instance/i-0a",
    f"arn:aws:ssm:{_HERE}:document/SSM-SessionManagerRunShell",
)
PARAMETER = f"arn:aws:ssm:{_HERE}:parameter/database/password"
THEIRS = f"arn:aws:ec2:{arns.REGION}:{FOREIGN}:instance/i-0a"

OF_AN_INSTANCE = (
    "ssm:DescribeAssociation ssm:ListInstanceAssociations ssm:PutComplianceItems ssm:UpdateAssociationStatus "
    "ssm:UpdateInstanceAssociationStatus ssm:UpdateInstanceInformation"
)
OF_NOTHING = (
    "ssm:GetDeployablePatchSnapshotForInstance ssm:GetManifest ssm:ListAssociations ssm:PutInventory "
    "ssm:PutConfigurePackageResult"
)
TALKS = (
    "ssmmessages:CreateControlChannel ssmmessages:CreateDataChannel ssmmessages:OpenControlChannel "
    "ssmmessages:OpenDataChannel"
)
CORE = "AmazonSSMManagedInstanceCore"
TELLS, CHANNELS, _ACCOUNT = "endpoint ssm/0", "endpoint ssmmessages/0", "aws:PrincipalAccount"

A_NODE_ANSWERS = [
    may(NODE, OF_AN_INSTANCE, INSTANCE, INSIDE, f"{CORE}/0", TELLS, stack=CLOSED),
    may(NODE, OF_NOTHING, "*", INSIDE, f"{CORE}/0", TELLS, stack=CLOSED),
    may(NODE, "ssm:DescribeDocument ssm:GetDocument", DOCUMENT, INSIDE, f"{CORE}/0", TELLS, stack=CLOSED),
    may(NODE, TALKS, "*", INSIDE, f"{CORE}/1", CHANNELS, stack=CLOSED),
    may(SYSTEM_NODE, TALKS, "*", INSIDE, f"{CORE}/1", CHANNELS, stack=CLOSED),
    may_not(NODE, "ssm:GetParameter ssm:GetParameters", PARAMETER, INSIDE, f"{TELLS}/Action", stack=CLOSED),
    may_not(NODE, "ssm:GetParameter", PARAMETER, OUTSIDE, "AmazonEKSWorkerNodePolicy"),
    may_not(TRAINER, TALKS, "*", INSIDE, "trainer", stack=CLOSED),
    may_not(
        FOREIGNER,
        "ssm:UpdateInstanceInformation",
        THEIRS,
        INSIDE,
        f"{TELLS}/aws:PrincipalAccount",
        stack=CLOSED,
    ),
    may_not(FOREIGNER, TALKS, "*", INSIDE, f"{CHANNELS}/aws:PrincipalAccount", stack=CLOSED),
]

WHAT_STOLEN_CREDENTIALS_OF_A_NODE_ARE_GOOD_FOR = [
    may(NODE, "ssm:GetParameter", PARAMETER, OUTSIDE, f"{CORE}/0", stack=CLOSED),
]

ROWS = [*A_NODE_ANSWERS, *WHAT_STOLEN_CREDENTIALS_OF_A_NODE_ARE_GOOD_FOR]
