"""Buckets. Their settings are separate resources, as Pulumi recommends: see `s3_settings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.conversion import tag_list, tag_map

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class Bucket(Adapter):
    token, service, creates = "aws:s3/bucket:Bucket", "s3", "CreateBucket"
    names = {"objectLockEnabled": "ObjectLockEnabledForBucket", "forceDestroy": None}
    replaces = frozenset({"bucket", "objectLockEnabled"})
    updates = frozenset({"forceDestroy"})
    autoname, lower = "bucket", True

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        place = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        self.call(aws, self.creates, **self.members(inputs), **(place if aws.region != "us-east-1" else {}))
        if tags:
            self.retag(aws, inputs["bucket"], {}, tags, [])
        return str(inputs["bucket"])

    def read(self, aws: Cloud, identity: str) -> Properties:
        place = self.call(aws, "GetBucketLocation", Bucket=identity)["LocationConstraint"] or "us-east-1"
        return {
            "bucket": identity,
            "arn": f"arn:aws:s3:::{identity}",
            "bucketDomainName": f"{identity}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{identity}.s3.{place}.amazonaws.com",
            "region": place,
            "tags": self._tags(aws, identity),
        }

    def _tags(self, aws: Cloud, identity: str) -> dict[str, str]:
        try:
            return tag_map(aws.client("s3").get_bucket_tagging(Bucket=identity)["TagSet"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchTagSet":
                return {}
            raise

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        if new:
            self.call(aws, "PutBucketTagging", Bucket=identity, Tagging={"TagSet": tag_list(new)})
        else:
            self.call(aws, "DeleteBucketTagging", Bucket=identity)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        if state.get("forceDestroy"):
            for page in self.pages(aws, "ListObjectVersions", Bucket=identity):
                for held in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    self.call(
                        aws, "DeleteObject", Bucket=identity, Key=held["Key"], VersionId=held["VersionId"]
                    )
        self.call(aws, "DeleteBucket", Bucket=identity)


ADAPTERS = (Bucket,)
