"""The settings of a bucket: each is put, read and deleted as a whole, and identified by the bucket's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter

if TYPE_CHECKING:
    from lab.aws.stand_in import sdk
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class _Setting(Adapter):
    """A setting of a bucket."""

    service = "s3"
    inside: ClassVar[str] = ""
    """The member with all properties except the bucket's name."""
    gets: ClassVar[str]
    deletes: ClassVar[str]
    replaces = frozenset({"bucket", "expectedBucketOwner"})
    collides = frozenset({"bucket"})
    names = {"skipDestroy": None}

    def request(self, inputs: Properties) -> tuple[Properties, list[sdk.Fault]]:
        """Put the properties into S3's member."""
        of_bucket = {name: inputs[name] for name in ("bucket", "expectedBucketOwner") if name in inputs}
        rest = {name: value for name, value in inputs.items() if name not in {*of_bucket, "region"}}
        members, faults = super().request(of_bucket | ({self.inside: rest} if self.inside else rest))
        return members, [(path.removeprefix(f"{self.inside}."), fault) for path, fault in faults]

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs))
        return str(inputs["bucket"])

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self.call(aws, self.creates, **self.members(inputs))

    def read(self, aws: Cloud, identity: str) -> Properties:
        answer = self.call(aws, self.gets, Bucket=identity)
        return self.outputs(answer.get(self.inside, answer) if self.inside else answer) | {"bucket": identity}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, self.deletes, Bucket=identity)


class BucketVersioning(_Setting):
    token, creates = "aws:s3/bucketVersioning:BucketVersioning", "PutBucketVersioning"
    gets = "GetBucketVersioning"
    updates = frozenset({"versioningConfiguration", "mfa"})

    def read(self, aws: Cloud, identity: str) -> Properties:
        answer = self.call(aws, self.gets, Bucket=identity)
        if "Status" not in answer:
            raise GoneError(identity)
        found = {"status": answer["Status"]}
        if answer.get("MFADelete"):
            found["mfaDelete"] = answer["MFADelete"]
        return {"bucket": identity, "versioningConfiguration": found}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        """Suspend it: S3 cannot turn it off again."""
        self.call(aws, self.creates, Bucket=identity, VersioningConfiguration={"Status": "Suspended"})


class BucketServerSideEncryptionConfiguration(_Setting):
    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    creates, gets, deletes = "PutBucketEncryption", "GetBucketEncryption", "DeleteBucketEncryption"
    inside = "ServerSideEncryptionConfiguration"
    updates = frozenset({"rules"})


class BucketPublicAccessBlock(_Setting):
    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    creates, gets, deletes = "PutPublicAccessBlock", "GetPublicAccessBlock", "DeletePublicAccessBlock"
    inside = "PublicAccessBlockConfiguration"
    updates = frozenset(
        {"blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets", "skipDestroy"}
    )


class BucketPolicy(_Setting):
    token = "aws:s3/bucketPolicy:BucketPolicy"
    creates, gets, deletes = "PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy"
    documents = {"policy": "resource"}
    updates = frozenset({"policy"})


class BucketLifecycleConfiguration(_Setting):
    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    creates, deletes = "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"
    gets = "GetBucketLifecycleConfiguration"
    inside = "LifecycleConfiguration"
    updates = frozenset({"rules"})


class BucketOwnershipControls(_Setting):
    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    creates, deletes = "PutBucketOwnershipControls", "DeleteBucketOwnershipControls"
    gets = "GetBucketOwnershipControls"
    inside = "OwnershipControls"
    names = {"OwnershipControls.rule": "Rules"}
    updates = frozenset({"rule"})


ADAPTERS: tuple[type[Any], ...] = (
    BucketVersioning,
    BucketServerSideEncryptionConfiguration,
    BucketPublicAccessBlock,
    BucketPolicy,
    BucketLifecycleConfiguration,
    BucketOwnershipControls,
)
