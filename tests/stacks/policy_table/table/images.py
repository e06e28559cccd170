"""Images: from the stack's own registry, from EKS's, and from registry.k8s.io; and who pushes."""

from __future__ import annotations

from tests.stacks.policy_table import arns
from tests.stacks.policy_table.given import (
    ADMIN,
    ANYBODY,
    DEPLOYER,
    ECR,
    FOREIGN_BUCKET,
    FOREIGN_REPOSITORY,
    FOREIGNER,
    IMAGES_OF_EKS,
    LAYERS_OF_ECR,
    LAYERS_OF_ECR_ELSEWHERE,
    LAYERS_OF_KUBERNETES,
    NODE,
    STRANGER,
    SYSTEM_NODE,
    TRAINER,
)
from tests.stacks.policy_table.rows import CLOSED, INSIDE, OUTSIDE, may, may_not, through

IMAGES = arns.repository("s2-cloud-training/scenario-model")
BLOB = "containers/images/sha256:0a"

PULLS, TOKEN = "ecr:BatchGetImage ecr:GetDownloadUrlForLayer", "ecr:GetAuthorizationToken"
CACHES = "ecr:BatchImportUpstreamImage"
CHECKS = "ecr:BatchCheckLayerAvailability"
PUSHES = "ecr:InitiateLayerUpload ecr:UploadLayerPart ecr:CompleteLayerUpload ecr:PutImage"
PULL_ONLY = "AmazonEC2ContainerRegistryPullOnly"
LAYERS = "endpoint s3/LayersOfImages"
API, REGISTRY = through("ecr.api"), through("ecr.dkr")

NODES_PULL = [
    may(NODE, TOKEN, "*", API, f"{PULL_ONLY}/0", "endpoint ecr.api/0"),
    may(NODE, PULLS, IMAGES, REGISTRY, f"{PULL_ONLY}/0", "endpoint ecr.dkr/0"),
    may(NODE, PULLS, IMAGES, API, f"{PULL_ONLY}/0", "endpoint ecr.api/0"),
    may(NODE, PULLS, IMAGES_OF_EKS, REGISTRY, f"{PULL_ONLY}/0", "endpoint ecr.dkr/0", "open to everybody/0"),
    may(SYSTEM_NODE, TOKEN, "*", API, f"{PULL_ONLY}/0", "endpoint ecr.api/0"),
    may(
        SYSTEM_NODE,
        PULLS,
        IMAGES_OF_EKS,
        REGISTRY,
        f"{PULL_ONLY}/0",
        "endpoint ecr.dkr/0",
        "open to everybody/0",
    ),
    may(NODE, CACHES, IMAGES, REGISTRY, f"{PULL_ONLY}/0", "endpoint ecr.dkr/0"),
    may(NODE, CACHES, IMAGES, API, f"{PULL_ONLY}/0", "endpoint ecr.api/0"),
    may_not(TRAINER, PULLS, IMAGES, REGISTRY, "trainer"),
    may_not(STRANGER, PULLS, IMAGES, REGISTRY, "stranger"),
    may_not(FOREIGNER, PULLS, IMAGES, OUTSIDE, "repository policy"),
    may_not(FOREIGNER, PULLS, FOREIGN_REPOSITORY, REGISTRY, "endpoint ecr.dkr/0/aws:PrincipalAccount"),
    may_not(FOREIGNER, TOKEN, "*", API, "endpoint ecr.api/0/aws:PrincipalAccount"),
]

LAYERS_COME_THROUGH_THE_S3_ENDPOINT = [
    may(ECR, "s3:GetObject", f"{LAYERS_OF_ECR}/0a", INSIDE, LAYERS),
    may(ANYBODY, "s3:GetObject", f"{LAYERS_OF_KUBERNETES}/{BLOB}", INSIDE, LAYERS, "open to everybody/0"),
    may_not(ECR, "s3:GetObject", f"{LAYERS_OF_ECR_ELSEWHERE}/0a", INSIDE, f"{LAYERS}/Resource"),
    may_not(ANYBODY, "s3:GetObject", f"{LAYERS_OF_KUBERNETES}/attic/tool", INSIDE, f"{LAYERS}/Resource"),
    may_not(ANYBODY, "s3:GetObject", f"{FOREIGN_BUCKET}/{BLOB}", INSIDE, f"{LAYERS}/Resource"),
    may_not(ANYBODY, "s3:PutObject", f"{LAYERS_OF_KUBERNETES}/{BLOB}", INSIDE, f"{LAYERS}/Action"),
    may_not(ANYBODY, "s3:ListBucket", LAYERS_OF_KUBERNETES, INSIDE, "endpoint s3"),
    may(ECR, "s3:GetObject", f"{LAYERS_OF_ECR}/0a", INSIDE, LAYERS, stack=CLOSED),
    may_not(
        ANYBODY,
        "s3:GetObject",
        f"{LAYERS_OF_KUBERNETES}/{BLOB}",
        INSIDE,
        f"{LAYERS}/Resource",
        stack=CLOSED,
    ),
]

THE_DEPLOYER_PUSHES = [
    may(DEPLOYER, f"{PUSHES} ecr:DescribeImages", IMAGES, OUTSIDE, ADMIN),
    may(DEPLOYER, TOKEN, "*", OUTSIDE, ADMIN),
    may(DEPLOYER, TOKEN, "*", REGISTRY, ADMIN, "endpoint ecr.dkr/0"),
    may(DEPLOYER, CHECKS, IMAGES, REGISTRY, ADMIN, "endpoint ecr.dkr/0"),
    may(DEPLOYER, CHECKS, IMAGES, API, ADMIN, "endpoint ecr.api/0"),
    may_not(DEPLOYER, PUSHES, IMAGES, REGISTRY, "endpoint ecr.dkr/0/Action"),
    may_not(NODE, PUSHES, IMAGES, REGISTRY, PULL_ONLY, "endpoint ecr.dkr/0/Action"),
    may_not(NODE, PUSHES, IMAGES, OUTSIDE, PULL_ONLY),
    may_not(FOREIGNER, PUSHES, IMAGES, OUTSIDE, "repository policy"),
    may_not(
        FOREIGNER,
        PUSHES,
        FOREIGN_REPOSITORY,
        REGISTRY,
        "endpoint ecr.dkr/0/aws:PrincipalAccount",
        "endpoint ecr.dkr/0/Action",
    ),
]

ROWS = [*NODES_PULL, *LAYERS_COME_THROUGH_THE_S3_ENDPOINT, *THE_DEPLOYER_PUSHES]
