"""Access to the release bucket: the bucket's policy and the S3 endpoint's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from components.aws.policies import Statement, document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.aws.location import Location

_READ = ("s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket")
_WRITE = (
    *("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListBucketMultipartUploads"),
    *("s3:ListMultipartUploadParts", "s3:PutObject"),
)
_DATA = tuple(
    sorted({*_READ, *_WRITE, "s3:DeleteObjectVersion", "s3:ListBucketVersions"} - {"s3:GetBucketLocation"})
)
"""Object operations. Bucket management is not included: no mistake here can lock anybody out."""

# registry.k8s.io sends who asks from AWS to a bucket of the same region, which is reached by the endpoint alone.
# Source: https://github.com/kubernetes/registry.k8s.io, cmd/archeio/internal/app/buckets.go, read 2026-11.
_KUBERNETES = {"eu-west-2": "767373bbdcb8270361b96548387bf2a9ad0d48758c35-eu-west-2"}
_SENT_KEY = "s3:x-amz-server-side-encryption-customer-algorithm"


def bucket_policy(
    bucket_arn: pulumi.Input[str],
    *,
    key_arn: pulumi.Input[str],
    region: str,
    s3_endpoint_id: pulumi.Input[str],
    outside: Sequence[str],
) -> pulumi.Output[str]:
    """Return the bucket's policy: it only denies; IAM grants.

    It denies plain HTTP and old TLS to everybody, objects to unlisted principals outside the endpoint, other
    regions, and objects encrypted with another key.
    """
    everything = [bucket_arn, pulumi.Output.concat(bucket_arn, "/*")]
    objects = pulumi.Output.concat(bucket_arn, "/*")
    encryption = "s3:x-amz-server-side-encryption"
    return document(
        [
            _deny("PlainHttp", ["s3:*"], everything, Bool={"aws:SecureTransport": "false"}),
            _deny("OldTls", ["s3:*"], everything, NumericLessThan={"s3:TlsVersion": "1.2"}),
            _deny(
                "OnlyThroughTheNetwork",
                _DATA,
                everything,
                StringNotEquals={"aws:SourceVpce": s3_endpoint_id},
                ArnNotEquals={"aws:PrincipalArn": list(outside)},
            ),
            _deny(
                "OnlyThisRegion",
                _DATA,
                everything,
                StringNotEquals={"aws:RequestedRegion": region},
                Null={"aws:RequestedRegion": "false"},
            ),
            # Requests without encryption settings get the bucket's own.
            _deny(
                "OnlyEncryptedByKms",
                ["s3:PutObject"],
                objects,
                StringNotEquals={encryption: "aws:kms"},
                Null={encryption: "false"},
            ),
            _deny(
                "OnlyThisKey",
                ["s3:PutObject"],
                objects,
                StringNotEquals={f"{encryption}-aws-kms-key-id": key_arn},
                Null={f"{encryption}-aws-kms-key-id": "false"},
            ),
            # Asked for KMS without a key, S3 takes AWS's own, not the bucket's. Source: "aws/s3" in
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
            _deny(
                "OnlyANamedKey",
                ["s3:PutObject"],
                objects,
                StringEquals={encryption: "aws:kms"},
                Null={f"{encryption}-aws-kms-key-id": "true"},
            ),
            _deny("NoKeyOfTheSenders", ["s3:PutObject"], objects, Null={_SENT_KEY: "false"}),
        ]
    )


def endpoint_policy(
    bucket_arn: pulumi.Input[str], *, location: Location, readable: Sequence[str], public_images: bool = False
) -> pulumi.Output[str]:
    """Return the S3 endpoint's policy: this bucket, others read-only, and buckets of image layers.

    It keeps anybody in the network from copying data to a foreign bucket. `public_images`: whether layers of
    registry.k8s.io are among them. Source of ECR's bucket:
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html
    """
    ours = {"StringEquals": {"aws:PrincipalAccount": location.account}}
    layers = [location.bucket(f"prod-{location.region}-starport-layer-bucket/*")]
    if public_images:
        bucket = _KUBERNETES.get(location.region, f"prod-registry-k8s-io-{location.region}")
        layers.append(location.bucket(f"{bucket}/containers/images/*"))
    statements: list[Statement] = [
        {
            "Sid": "TheReleaseBucket",
            "Effect": "Allow",
            "Principal": "*",
            "Action": sorted({*_READ, *_WRITE}),
            "Resource": [bucket_arn, pulumi.Output.concat(bucket_arn, "/*")],
            "Condition": ours,
        },
        {
            "Sid": "LayersOfImages",
            "Effect": "Allow",
            "Principal": "*",
            "Action": ["s3:GetObject"],
            "Resource": layers,
        },
    ]
    if readable:
        statements.append(
            {
                "Sid": "OthersToRead",
                "Effect": "Allow",
                "Principal": "*",
                "Action": list(_READ),
                "Resource": [each for arn in readable for each in (arn, f"{arn}/*")],
                "Condition": ours,
            }
        )
    return document(statements)


def _deny(
    sid: str,
    actions: Sequence[str],
    resources: pulumi.Input[str] | Sequence[pulumi.Input[str]],
    **condition: Statement,
) -> Statement:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": list(actions),
        "Resource": resources,
        "Condition": condition,
    }
