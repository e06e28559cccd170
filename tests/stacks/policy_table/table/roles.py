"""The roles of pods, nodes and the control plane: who may take them, and who of those may take another."""

from __future__ import annotations

from components.kubernetes import charts
from tests.stacks.policy_table import arns
from tests.stacks.policy_table.given import (
    ADMIN,
    DEPLOYER,
    EC2,
    EKS,
    FOREIGN,
    FOREIGN_ROLE,
    FOREIGNER,
    NODE,
    POD_IDENTITY,
    STRANGER,
    TRAINER,
)
from tests.stacks.policy_table.rows import INSIDE, OUTSIDE, WITHIN_AWS, for_pods, may, may_not

TRAINERS, AUTOSCALERS, NODES = arns.role("trainer"), arns.role("autoscaler"), arns.role("training")
SYSTEM_NODES, CONTROL_PLANES = arns.role("system"), arns.role("training-control-plane")
DEPLOYERS = str(DEPLOYER.arn)
TAKES, TAKES_TAGGED = "sts:AssumeRole", "sts:AssumeRole sts:TagSession"

_ANOTHER, _FOREIGN = arns.cluster("another"), arns.cluster(account=FOREIGN)
_RIGHT = for_pods("trainer")
_OTHER_NAMESPACE, _OTHER_ACCOUNT = for_pods("trainer", "default"), for_pods("default")
_OTHER_CLUSTER, _FOREIGN_CLUSTER = (
    for_pods("trainer", cluster=_ANOTHER),
    for_pods("trainer", cluster=_FOREIGN),
)
_CLUSTER, _NAMESPACE, _SERVICE_ACCOUNT = (
    f"trust of trainer/0/aws:RequestTag/{tag}"
    for tag in ("eks-cluster-arn", "kubernetes-namespace", "kubernetes-service-account")
)

PODS_OF_ONE_SERVICE_ACCOUNT_TRAIN = [
    may(POD_IDENTITY, TAKES_TAGGED, TRAINERS, WITHIN_AWS, "trust of trainer/0", how=_RIGHT),
    may_not(POD_IDENTITY, TAKES_TAGGED, TRAINERS, WITHIN_AWS, _NAMESPACE, how=_OTHER_NAMESPACE),
    may_not(POD_IDENTITY, TAKES_TAGGED, TRAINERS, WITHIN_AWS, _SERVICE_ACCOUNT, how=_OTHER_ACCOUNT),
    may_not(POD_IDENTITY, TAKES_TAGGED, TRAINERS, WITHIN_AWS, _CLUSTER, how=_OTHER_CLUSTER),
    may_not(POD_IDENTITY, TAKES_TAGGED, TRAINERS, WITHIN_AWS, _CLUSTER, how=_FOREIGN_CLUSTER),
    may_not(POD_IDENTITY, TAKES, TRAINERS, WITHIN_AWS, _CLUSTER, _NAMESPACE, _SERVICE_ACCOUNT),
    may_not(EC2, TAKES, TRAINERS, WITHIN_AWS, "trust of trainer"),
    may_not(NODE, TAKES, TRAINERS, INSIDE, "trust of trainer"),
    may_not(DEPLOYER, TAKES, TRAINERS, OUTSIDE, "trust of trainer"),
    may_not(STRANGER, TAKES, TRAINERS, OUTSIDE, "trust of trainer"),
    may_not(FOREIGNER, TAKES, TRAINERS, OUTSIDE, "trust of trainer"),
]

_NAME = charts.AUTOSCALER[::-1]
_SCALER, _SCALER_ELSEWHERE = for_pods(*_NAME), for_pods(*_NAME, _ANOTHER)
_ITS_CLUSTER, _ITS_NAMESPACE, _ITS_ACCOUNT = (
    each.replace("trainer", "autoscaler") for each in (_CLUSTER, _NAMESPACE, _SERVICE_ACCOUNT)
)

PODS_OF_ANOTHER_SCALE = [
    may(POD_IDENTITY, TAKES_TAGGED, AUTOSCALERS, WITHIN_AWS, "trust of autoscaler/0", how=_SCALER),
    may_not(POD_IDENTITY, TAKES, AUTOSCALERS, WITHIN_AWS, _ITS_NAMESPACE, _ITS_ACCOUNT, how=_RIGHT),
    may_not(POD_IDENTITY, TAKES, AUTOSCALERS, WITHIN_AWS, _ITS_CLUSTER, how=_SCALER_ELSEWHERE),
    may_not(POD_IDENTITY, TAKES, TRAINERS, WITHIN_AWS, _NAMESPACE, _SERVICE_ACCOUNT, how=_SCALER),
]

NODES_AND_CONTROL_PLANE_BELONG_TO_EC2_AND_EKS = [
    may(EC2, TAKES, NODES, WITHIN_AWS, "trust of training/0"),
    may(EC2, TAKES, SYSTEM_NODES, WITHIN_AWS, "trust of system/0"),
    may(EKS, TAKES, CONTROL_PLANES, WITHIN_AWS, "trust of training-control-plane/0"),
    may_not(POD_IDENTITY, TAKES, NODES, WITHIN_AWS, "trust of training", how=_RIGHT),
    may_not(EC2, TAKES, CONTROL_PLANES, WITHIN_AWS, "trust of training-control-plane"),
    may_not(DEPLOYER, TAKES, NODES, OUTSIDE, "trust of training"),
]

NOBODY_CLIMBS = [
    may_not(TRAINER, TAKES, DEPLOYERS, INSIDE, "trainer"),
    may_not(TRAINER, TAKES, DEPLOYERS, OUTSIDE, "trainer"),
    may_not(NODE, TAKES, DEPLOYERS, INSIDE, "AmazonEKSWorkerNodePolicy"),
    may_not(FOREIGNER, TAKES, DEPLOYERS, OUTSIDE, "trust of deployer"),
    may_not(FOREIGNER, TAKES, FOREIGN_ROLE, INSIDE, "endpoint sts/0/aws:PrincipalAccount"),
    may(
        DEPLOYER,
        TAKES_TAGGED,
        DEPLOYERS,
        INSIDE,
        ADMIN,
        "trust of deployer/0",
        "endpoint sts/0",
    ),
]

ROWS = [
    *PODS_OF_ONE_SERVICE_ACCOUNT_TRAIN,
    *PODS_OF_ANOTHER_SCALE,
    *NODES_AND_CONTROL_PLANE_BELONG_TO_EC2_AND_EKS,
    *NOBODY_CLIMBS,
]
