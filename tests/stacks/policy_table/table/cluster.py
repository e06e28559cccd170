"""The cluster: its nodes, its autoscaler, its control plane, and the endpoints of their network."""

from __future__ import annotations

from tests.stacks.policy_table import arns
from tests.stacks.policy_table.given import (
    ADMIN,
    AUTOSCALER,
    CONTROL_PLANE,
    DEPLOYER,
    FOREIGN,
    FOREIGNER,
    NODE,
    STRANGER,
    SYSTEM_NODE,
    TRAINER,
)
from tests.stacks.policy_table.rows import INSIDE, OUTSIDE, WITHIN_AWS, may, may_not, of_a_group

CLUSTER = arns.cluster()
_HERE = f"{arns.REGION}:{arns.ACCOUNT}"
INTERFACE = f"arn:aws:ec2:{_HERE}:network-interface/eni-0a"
INSTANCE = f"arn:aws:ec2:{_HERE}:instance/i-0a"
GROUP = f"arn:aws:autoscaling:{_HERE}:autoScalingGroup:0a:autoScalingGroupName/eks-training"
NODES = f"arn:aws:eks:{_HERE}:nodegroup/{arns.CLUSTER_NAME}/training/0a"
OTHERS_NODES = f"arn:aws:eks:{_HERE}:nodegroup/another/training/0a"
LOG_GROUP = f"arn:aws:logs:{_HERE}:log-group:/aws/eks/{arns.CLUSTER_NAME}/cluster"
LOGS = f"{LOG_GROUP}:log-stream:api"

WORKER, CNI = "AmazonEKSWorkerNodePolicy/WorkerNodePermissions", "AmazonEKS_CNI_Policy/AmazonEKSCNIPolicy"
SEEN_BY_BOTH = (
    "ec2:DescribeInstances ec2:DescribeInstanceTypes ec2:DescribeSubnets ec2:DescribeSecurityGroups"
)
ATTACHES = "ec2:AttachNetworkInterface ec2:CreateNetworkInterface ec2:DeleteNetworkInterface"
ADDRESSES = "ec2:AssignPrivateIpAddresses ec2:UnassignPrivateIpAddresses ec2:ModifyNetworkInterfaceAttribute"

_TAKES_A_PODS_ROLE = "eks-auth:AssumeRoleForPodIdentity"

NODES_JOIN = [
    may(NODE, "eks:DescribeCluster", CLUSTER, INSIDE, WORKER, "endpoint eks/0"),
    may(NODE, _TAKES_A_PODS_ROLE, CLUSTER, INSIDE, WORKER, "endpoint eks-auth/0"),
    may(NODE, SEEN_BY_BOTH, "*", INSIDE, "endpoint ec2/0"),
    may(NODE, "ec2:DescribeVolumes", "*", INSIDE, WORKER, "endpoint ec2/0"),
    may(NODE, "ec2:DescribeNetworkInterfaces ec2:DescribeTags", "*", INSIDE, CNI, "endpoint ec2/0"),
    may(NODE, ATTACHES, INTERFACE, INSIDE, CNI, "endpoint ec2/0"),
    may(NODE, ADDRESSES, INTERFACE, INSIDE, CNI, "endpoint ec2/0"),
    may(NODE, "ec2:DetachNetworkInterface", INSTANCE, INSIDE, CNI, "endpoint ec2/0"),
    may(
        NODE,
        "ec2:CreateTags",
        INTERFACE,
        INSIDE,
        "AmazonEKS_CNI_Policy/AmazonEKSCNIPolicyENITag",
        "endpoint ec2/0",
    ),
    may(SYSTEM_NODE, "eks:DescribeCluster", CLUSTER, INSIDE, WORKER, "endpoint eks/0"),
    may(SYSTEM_NODE, ADDRESSES, INTERFACE, INSIDE, CNI, "endpoint ec2/0"),
    may_not(
        NODE, "ec2:CreateTags", INSTANCE, INSIDE, "AmazonEKS_CNI_Policy/AmazonEKSCNIPolicyENITag/Resource"
    ),
    may_not(
        NODE, "ec2:TerminateInstances", INSTANCE, INSIDE, "AmazonEKS_CNI_Policy", "endpoint ec2/0/Action"
    ),
    may_not(NODE, "ec2:RunInstances", INSTANCE, OUTSIDE, "AmazonEKS_CNI_Policy"),
    may_not(NODE, "eks:DeleteCluster", CLUSTER, INSIDE, "AmazonEKSWorkerNodePolicy", "endpoint eks/0/Action"),
    may_not(TRAINER, "eks:DescribeCluster", CLUSTER, INSIDE, "trainer"),
    may_not(TRAINER, _TAKES_A_PODS_ROLE, CLUSTER, INSIDE, "trainer"),
    may_not(STRANGER, "eks:DescribeCluster", CLUSTER, INSIDE, "stranger"),
]

_SEES_GROUPS = (
    "autoscaling:DescribeAutoScalingGroups autoscaling:DescribeAutoScalingInstances "
    "autoscaling:DescribeLaunchConfigurations autoscaling:DescribeScalingActivities"
)
_SEES_TYPES = (
    "ec2:DescribeImages ec2:DescribeInstanceTypes ec2:DescribeLaunchTemplateVersions "
    "ec2:GetInstanceTypesFromInstanceRequirements"
)
_SCALES = "autoscaling:SetDesiredCapacity autoscaling:TerminateInstanceInAutoScalingGroup"
_SCALING = "endpoint autoscaling/0"
_ITS_TAG = "autoscaler/Scale/aws:ResourceTag/eks:cluster-name"
_OURS, _ANOTHERS, _UNTAGGED = (of_a_group(tag) for tag in (arns.CLUSTER_NAME, "another", None))
_REMOVES = "autoscaling:DeleteAutoScalingGroup autoscaling:UpdateAutoScalingGroup"

THE_AUTOSCALER_SCALES = [
    may(AUTOSCALER, _SEES_GROUPS, "*", INSIDE, "autoscaler/See", _SCALING),
    may(AUTOSCALER, _SEES_TYPES, "*", INSIDE, "autoscaler/See", "endpoint ec2/0"),
    may(AUTOSCALER, "eks:DescribeNodegroup", NODES, INSIDE, "autoscaler/Group", "endpoint eks/0"),
    may(AUTOSCALER, _SCALES, GROUP, INSIDE, "autoscaler/Scale", _SCALING, how=_OURS),
    may_not(AUTOSCALER, _SCALES, GROUP, INSIDE, _ITS_TAG, how=_ANOTHERS),
    may_not(AUTOSCALER, _SCALES, GROUP, INSIDE, _ITS_TAG, how=_UNTAGGED),
    may_not(AUTOSCALER, _REMOVES, GROUP, INSIDE, "autoscaler/Scale/Action", f"{_SCALING}/Action", how=_OURS),
    may_not(AUTOSCALER, "eks:DescribeNodegroup", OTHERS_NODES, INSIDE, "autoscaler/Group/Resource"),
    may_not(AUTOSCALER, "ec2:TerminateInstances", INSTANCE, INSIDE, "autoscaler", "endpoint ec2/0/Action"),
    may_not(TRAINER, _SCALES, GROUP, INSIDE, "trainer", how=_OURS),
    may_not(NODE, _SCALES, GROUP, INSIDE, "AmazonEKSWorkerNodePolicy", how=_OURS),
]

_OF_EKS = "AmazonEKSClusterPolicy"

THE_CONTROL_PLANE_LOOKS_AFTER_NODES = [
    may(CONTROL_PLANE, "ec2:DescribeInstances ec2:DescribeSubnets", "*", WITHIN_AWS, f"{_OF_EKS}/{_OF_EKS}"),
    may_not(CONTROL_PLANE, "ec2:RunInstances ec2:TerminateInstances", INSTANCE, WITHIN_AWS, _OF_EKS),
]

_ACCOUNT, _THEIR_CLUSTER = "aws:PrincipalAccount", arns.cluster("theirs", FOREIGN)
_THEIR_LOGS = f"arn:aws:logs:{arns.REGION}:{FOREIGN}:log-group:loot:log-stream:0"

ENDPOINTS_SERVE_THE_ACCOUNT_AND_WHAT_TRAINING_NEEDS = [
    may(DEPLOYER, "logs:CreateLogStream logs:PutLogEvents", LOGS, INSIDE, ADMIN, "endpoint logs/0"),
    may(DEPLOYER, "logs:DescribeLogStreams", LOG_GROUP, INSIDE, ADMIN, "endpoint logs/0"),
    may(DEPLOYER, "autoscaling:DescribeTags", "*", INSIDE, ADMIN, _SCALING),
    may_not(TRAINER, "logs:PutLogEvents", LOGS, INSIDE, "trainer"),
    may_not(DEPLOYER, "logs:DeleteLogStream", LOGS, INSIDE, "endpoint logs/0/Action"),
    may_not(DEPLOYER, "eks:DeleteCluster eks:CreateAccessEntry", CLUSTER, INSIDE, "endpoint eks/0/Action"),
    may_not(DEPLOYER, "ec2:TerminateInstances", INSTANCE, INSIDE, "endpoint ec2/0/Action"),
    may_not(DEPLOYER, _REMOVES, GROUP, INSIDE, f"{_SCALING}/Action"),
    may_not(FOREIGNER, "ec2:DescribeInstances", "*", INSIDE, f"endpoint ec2/0/{_ACCOUNT}"),
    may_not(FOREIGNER, _SEES_GROUPS, "*", INSIDE, f"{_SCALING}/{_ACCOUNT}"),
    may_not(FOREIGNER, "eks:DescribeCluster", _THEIR_CLUSTER, INSIDE, f"endpoint eks/0/{_ACCOUNT}"),
    may_not(FOREIGNER, _TAKES_A_PODS_ROLE, _THEIR_CLUSTER, INSIDE, f"endpoint eks-auth/0/{_ACCOUNT}"),
    may_not(FOREIGNER, "logs:PutLogEvents", _THEIR_LOGS, INSIDE, f"endpoint logs/0/{_ACCOUNT}"),
]

ROWS = [
    *NODES_JOIN,
    *THE_AUTOSCALER_SCALES,
    *THE_CONTROL_PLANE_LOOKS_AFTER_NODES,
    *ENDPOINTS_SERVE_THE_ACCOUNT_AND_WHAT_TRAINING_NEEDS,
]
