"""The bucket for releases, checkpoints and data: encrypted, versioned, private, TLS only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ec2, s3

from components.aws.bucket_policies import bucket_policy, endpoint_policy
from components.aws.policies import customer_key
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.location import Location


@dataclass(frozen=True, kw_only=True)
class ReleaseBucketArgs:
    """Inputs of the bucket.

    Attributes:
        location: account and region.
        s3_endpoint_id: the network's S3 endpoint: objects are read and written only through it.
        own_endpoint: whether its policy is the stack's to set; somebody else's endpoint keeps its own.
        outside: ARNs of roles and users exempt from that: the deployer, and those that fetch releases from
            elsewhere. Their own IAM policies still apply.
        readable: ARNs of other buckets that may be read through the endpoint, with data or models.
        public_images: whether nodes pull images of registry.k8s.io, whose layers come through the endpoint.
        protect: refuse to delete the bucket, its key and its policies. Without it, `destroy` deletes every
            release.
        checkpoint_prefix: prefix of checkpoints, needed only to resume after an interruption.
        checkpoint_days: retention of checkpoints.
        old_checkpoint_days: how long overwritten or deleted checkpoints can be restored.
        old_version_days: how long overwritten or deleted objects can be restored.
        short_lived: prefixes of other objects that are removed, and after how many days, by the rule's name.

    """

    location: Location
    s3_endpoint_id: pulumi.Input[str]
    outside: Sequence[str]
    own_endpoint: bool = True
    readable: Sequence[str] = ()
    public_images: bool = False
    protect: bool = True
    checkpoint_prefix: str = "checkpoints/"
    checkpoint_days: int = 30
    old_checkpoint_days: int = 3
    old_version_days: int = 90
    short_lived: Mapping[str, tuple[pulumi.Input[str], int]] = field(default_factory=dict)


class ReleaseBucket(pulumi.ComponentResource):
    """The bucket with its key and policies, and the policy of the stack's S3 endpoint, which admits no other bucket.

    Nobody is locked out: managing the bucket and its policy is denied only over plain HTTP and old TLS.
    Pulumi also lists the bucket, so the deployer must be in `outside`.

    Raises:
        CloudError: `outside` is empty, so not even the deployer could read a release.

    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    uri: pulumi.Output[str]
    """As in `s3://name`."""
    key_arn: pulumi.Output[str]

    def __init__(
        self, name: str, args: ReleaseBucketArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the bucket under `name`."""
        if not args.outside:
            raise CloudError(
                "the release bucket would be readable only from within its network; add the deployer's ARN to "
                "outside"
            )
        super().__init__("scenario:aws:ReleaseBucket", name, None, opts)
        self._kept = pulumi.ResourceOptions(parent=self, protect=args.protect)
        key = customer_key(name, args.location, f"objects of the bucket {name}", opts=self._kept)
        bucket = s3.Bucket(name, force_destroy=not args.protect, opts=self._kept)
        self.name, self.arn, self.key_arn = bucket.bucket, bucket.arn, key.arn
        self.uri = pulumi.Output.concat("s3://", bucket.bucket)
        self._settings(name, args)
        s3.BucketPolicy(
            name,
            bucket=self.name,
            policy=bucket_policy(
                self.arn,
                key_arn=self.key_arn,
                region=args.location.region,
                s3_endpoint_id=args.s3_endpoint_id,
                outside=args.outside,
            ),
            opts=self._kept,
        )
        if args.own_endpoint:
            ec2.VpcEndpointPolicy(
                name,
                vpc_endpoint_id=args.s3_endpoint_id,
                policy=endpoint_policy(
                    self.arn, location=args.location, readable=args.readable, public_images=args.public_images
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"name": self.name, "arn": self.arn, "uri": self.uri, "key_arn": self.key_arn})

    def _settings(self, name: str, args: ReleaseBucketArgs) -> None:
        s3.BucketOwnershipControls(
            name, bucket=self.name, rule={"object_ownership": "BucketOwnerEnforced"}, opts=self._kept
        )
        s3.BucketPublicAccessBlock(
            name,
            bucket=self.name,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._kept,
        )
        versioning = s3.BucketVersioning(
            name, bucket=self.name, versioning_configuration={"status": "Enabled"}, opts=self._kept
        )
        s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=self.name,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": self.key_arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=self._kept,
        )
        s3.BucketLifecycleConfiguration(
            name,
            bucket=self.name,
            rules=[
                {
                    "id": "unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
                },
                {
                    "id": "old-versions",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "noncurrent_version_expiration": {"noncurrent_days": args.old_version_days},
                },
                {
                    "id": "checkpoints",
                    "status": "Enabled",
                    "filter": {"prefix": args.checkpoint_prefix},
                    "expiration": {"days": args.checkpoint_days},
                    # What is overwritten of them is as large, and nobody goes back to it.
                    "noncurrent_version_expiration": {"noncurrent_days": args.old_checkpoint_days},
                },
                *(_expiring(rule, *each) for rule, each in args.short_lived.items()),
            ],
            opts=pulumi.ResourceOptions.merge(self._kept, pulumi.ResourceOptions(depends_on=[versioning])),
        )


def _expiring(rule: str, prefix: pulumi.Input[str], days: int) -> s3.BucketLifecycleConfigurationRuleArgs:
    return s3.BucketLifecycleConfigurationRuleArgs(
        id=rule,
        status="Enabled",
        filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=prefix),
        expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
    )
