"""Bucket, images, identities and budget: who may do what, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.aws.budget import Budget, BudgetArgs
from components.aws.image_registry import ImageRegistry, ImageRegistryArgs
from components.aws.release_bucket import ReleaseBucket, ReleaseBucketArgs
from components.aws.workload_identity import (
    WorkloadIdentity,
    WorkloadIdentityArgs,
    bucket_access,
    node_scaling,
    signing,
)
from components.errors import CloudError
from tests.components.aws.declaring import DEPLOYER, HERE, Declared, a_cluster, declared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DATA = "arn:aws:s3:::team-data"


def bucket(**more: Any) -> Declared:
    def build() -> dict[str, Any]:
        given = {"s3_endpoint_id": "vpce-1", "outside": [DEPLOYER]} | more
        made = ReleaseBucket("releases", ReleaseBucketArgs(location=HERE, **given))
        return {"name": made.name, "arn": made.arn, "uri": made.uri, "key": made.key_arn}

    return declared(build)


def test_a_bucket_is_versioned_encrypted_private_and_nothing_else_is_made() -> None:
    made = bucket()
    assert made.names == sorted(
        f"{kind} releases"
        for kind in (
            "ec2/vpcEndpointPolicy:VpcEndpointPolicy",
            "kms/key:Key",
            "s3/bucket:Bucket",
            "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
            "s3/bucketOwnershipControls:BucketOwnershipControls",
            "s3/bucketPolicy:BucketPolicy",
            "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
            "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "s3/bucketVersioning:BucketVersioning",
        )
    )
    assert made.one("s3/bucket:Bucket")["forceDestroy"] is False
    assert bucket(protect=False).one("s3/bucket:Bucket")["forceDestroy"] is True
    blocked = made.one("s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
    assert sorted(name for name, value in blocked.items() if value is True) == [
        "blockPublicAcls",
        "blockPublicPolicy",
        "ignorePublicAcls",
        "restrictPublicBuckets",
    ]
    encryption = made.one(
        "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )
    (rule,) = encryption["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {
        "sseAlgorithm": "aws:kms",
        "kmsMasterKeyId": "arn:aws:test:::releases",
    }
    assert made.outputs["uri"] == "s3://releases"


def test_the_buckets_policy_only_denies_and_manages_to_lock_nobody_out() -> None:
    policy = bucket().statements("s3/bucketPolicy:BucketPolicy", "releases")
    assert {each["Effect"] for each in policy.values()} == {"Deny"}
    assert policy["PlainHttp"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert policy["OldTls"]["Condition"] == {"NumericLessThan": {"s3:TlsVersion": "1.2"}}
    network = policy["OnlyThroughTheNetwork"]
    assert network["Condition"] == {
        "StringNotEquals": {"aws:SourceVpce": "vpce-1"},
        "ArnNotEquals": {"aws:PrincipalArn": [DEPLOYER]},
    }
    assert {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"} <= set(network["Action"])
    tls = {"PlainHttp", "OldTls"}
    denied = {action for name in set(policy) - tls for action in policy[name]["Action"]}
    assert not {
        action for action in denied if "Policy" in action or "DeleteBucket" in action or "*" in action
    }
    assert policy["OnlyThisRegion"]["Condition"]["StringNotEquals"] == {"aws:RequestedRegion": "eu-central-1"}
    key = policy["OnlyThisKey"]["Condition"]["StringNotEquals"]
    assert list(key.values()) == ["arn:aws:test:::releases"]
    unnamed = policy["OnlyANamedKey"]["Condition"]
    assert unnamed["StringEquals"] == {"s3:x-amz-server-side-encryption": "aws:kms"}, (
        "S3 would take AWS's own"
    )
    assert list(unnamed["Null"].values()) == ["true"]


def test_the_endpoint_lets_no_other_bucket_through_but_those_that_are_named() -> None:
    policy = bucket().statements("ec2/vpcEndpointPolicy:VpcEndpointPolicy", "releases")
    assert set(policy) == {"TheReleaseBucket", "LayersOfImages"}
    assert policy["TheReleaseBucket"]["Resource"] == ["arn:aws:test:::releases", "arn:aws:test:::releases/*"]
    assert policy["LayersOfImages"]["Resource"] == ["arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"]
    public = bucket(public_images=True).statements("ec2/vpcEndpointPolicy:VpcEndpointPolicy", "releases")
    assert public["LayersOfImages"]["Action"] == ["s3:GetObject"]
    assert public["LayersOfImages"]["Resource"][1:] == [
        "arn:aws:s3:::prod-registry-k8s-io-eu-central-1/containers/images/*"
    ]
    more = bucket(readable=[DATA]).statements("ec2/vpcEndpointPolicy:VpcEndpointPolicy", "releases")
    assert more["OthersToRead"]["Resource"] == [DATA, f"{DATA}/*"]
    assert "s3:PutObject" not in more["OthersToRead"]["Action"]


def test_what_is_half_uploaded_old_or_a_checkpoint_goes_by_itself_and_releases_stay() -> None:
    rules = bucket(checkpoint_prefix="runs/", checkpoint_days=3).one(
        "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    )["rules"]
    expires = [each for each in rules if "expiration" in each]
    assert [(each["filter"], each["expiration"]) for each in expires] == [({"prefix": "runs/"}, {"days": 3})]
    assert expires[0]["noncurrentVersionExpiration"] == {"noncurrentDays": 3}
    assert {each["id"] for each in rules} == {"unfinished-uploads", "old-versions", "checkpoints"}


def test_a_bucket_that_not_even_the_deployer_could_read_is_refused() -> None:
    with pytest.raises(CloudError, match="add the deployer's ARN to outside"):
        bucket(outside=[])


def registry(*repositories: str) -> Declared:
    def build() -> dict[str, Any]:
        made = ImageRegistry("images", ImageRegistryArgs(location=HERE, repositories=repositories))
        return {"urls": made.urls}

    return declared(build)


def test_repositories_are_encrypted_scanned_and_their_tags_never_move() -> None:
    made = registry("s2/model", "kueue")
    assert made.names == [
        "ecr/lifecyclePolicy:LifecyclePolicy images-kueue",
        "ecr/lifecyclePolicy:LifecyclePolicy images-s2-model",
        "ecr/repository:Repository images-kueue",
        "ecr/repository:Repository images-s2-model",
        "kms/key:Key images",
    ]
    for repository in made.of("ecr/repository:Repository").values():
        assert repository["imageTagMutability"] == "IMMUTABLE"
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        assert repository["encryptionConfigurations"] == [
            {"encryptionType": "KMS", "kmsKey": "arn:aws:test:::images"}
        ]
    (rule,) = json.loads(made.of("ecr/lifecyclePolicy:LifecyclePolicy")["images-kueue"]["policy"])["rules"]
    assert rule["selection"]["tagStatus"] == "untagged", "what a tag names is kept"
    assert made.outputs["urls"] == {"s2/model": "registry/images-s2-model", "kueue": "registry/images-kueue"}


@pytest.mark.parametrize(
    ("names", "said"), [((), "needs a repository"), (("S2",), "invalid ECR repository name 'S2'")]
)
def test_a_registry_without_a_good_name_is_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(CloudError, match=said):
        registry(*names)


def access(
    read: Sequence[str] = (), write: Sequence[str] = (), delete: Sequence[str] = ()
) -> list[dict[str, Any]]:
    return bucket_access(
        bucket_arn="arn:aws:s3:::r",
        key_arn="arn:aws:kms:::key/k",
        region="eu-central-1",
        read=read,
        write=write,
        delete=delete,
    )


def identity(statements: Callable[[], list[dict[str, Any]]]) -> Declared:
    def build() -> dict[str, Any]:
        arguments = WorkloadIdentityArgs(
            cluster=a_cluster(), namespace="training", service_account="trainer", statements=statements()
        )
        return {"role": WorkloadIdentity("trainer", arguments).role_arn}

    return declared(build)


def test_an_identity_is_of_one_service_account_of_one_cluster() -> None:
    made = identity(lambda: signing("arn:aws:kms:::key/s", "vpce-kms"))
    trust = made.statements("iam/role:Role", "trainer", "assumeRolePolicy")["0"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert trust["Condition"] == {
        "StringEquals": {
            "aws:RequestTag/eks-cluster-arn": "arn:aws:test:::main",
            "aws:RequestTag/kubernetes-namespace": "training",
            "aws:RequestTag/kubernetes-service-account": "trainer",
        }
    }
    association = made.one("eks/podIdentityAssociation:PodIdentityAssociation")
    assert association["namespace"] == "training"
    assert association["serviceAccount"] == "trainer"
    assert (
        made.statements("iam/rolePolicy:RolePolicy", "trainer")["Sign"]["Resource"] == "arn:aws:kms:::key/s"
    )


def test_access_to_the_bucket_ends_at_its_prefixes_and_the_key_works_by_way_of_s3_alone() -> None:
    made = identity(lambda: access(["releases/"], write=["checkpoints/", "runs/"], delete=["checkpoints/"]))
    policy = made.statements("iam/rolePolicy:RolePolicy", "trainer")
    assert policy["List"]["Action"] == ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    assert policy["Read"]["Resource"] == [
        f"arn:aws:s3:::r/{prefix}/*" for prefix in ("checkpoints", "releases", "runs")
    ]
    assert policy["Write"]["Resource"] == ["arn:aws:s3:::r/checkpoints/*", "arn:aws:s3:::r/runs/*"]
    assert policy["Delete"]["Resource"] == ["arn:aws:s3:::r/checkpoints/*"]
    assert policy["Key"]["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}
    reads = identity(lambda: access(["releases/"])).statements("iam/rolePolicy:RolePolicy", "trainer")
    assert {action for each in reads.values() for action in each["Action"]} == {
        "s3:ListBucket",
        "s3:GetObject",
        "kms:Decrypt",
    }


def test_an_autoscaler_sees_all_but_changes_only_the_clusters_groups() -> None:
    by_id = {each["Sid"]: each for each in node_scaling(HERE, "s2")}
    assert not [
        each for each in by_id["See"]["Action"] if not each.split(":")[1].startswith(("Describe", "Get"))
    ]
    assert by_id["Scale"]["Condition"] == {"StringEquals": {"aws:ResourceTag/eks:cluster-name": "s2"}}


def test_an_identity_that_allows_nothing_is_refused() -> None:
    with pytest.raises(CloudError, match="training/trainer allows nothing"):
        identity(list)
    with pytest.raises(CloudError, match="needs a prefix to read or write below"):
        access(delete=["checkpoints/"])


def budget(
    monthly_usd: int = 500,
    emails: Sequence[str] = ("team@example.com",),
    tag: tuple[str, str] | None = None,
) -> Declared:
    arguments = BudgetArgs(monthly_usd=monthly_usd, emails=emails, tag=tag)
    return declared(lambda: Budget("training", arguments))


def test_a_budget_counts_the_stacks_costs_and_tells_before_they_are_spent() -> None:
    made = budget(tag=("scenario:stack", "s2")).one("budgets/budget:Budget")
    assert (made["limitAmount"], made["limitUnit"], made["timeUnit"]) == ("500.0", "USD", "MONTHLY")
    assert made["costFilters"] == [{"name": "TagKeyValue", "values": ["user:scenario:stack$s2"]}]
    told = {(each["notificationType"], each["threshold"]) for each in made["notifications"]}
    assert {("ACTUAL", 80.0), ("FORECASTED", 100.0)} <= told
    assert all(each["subscriberEmailAddresses"] == ["team@example.com"] for each in made["notifications"])
    assert "costFilters" not in budget().one("budgets/budget:Budget")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"monthly_usd": 0}, "monthly_usd is 0; it must be at least 1"),
        ({"emails": []}, "needs 1 to 10 e-mail addresses, not 0"),
        ({"emails": ["team"]}, "invalid e-mail address 'team'"),
    ],
)
def test_a_budget_that_would_tell_nobody_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(CloudError, match=said):
        budget(**wrong)
