"""A bucket of the lab's AWS for each test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.aws.lifecycle import Aws

NAME = "scenario-model-tests"


@pytest.fixture
def s3(aws_api: Aws) -> Any:
    """A client, and the bucket NAME, emptied of what another test left."""
    client = boto3.client("s3")
    try:
        client.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    except client.exceptions.BucketAlreadyOwnedByYou:
        there = client.list_objects_v2(Bucket=NAME).get("Contents", ())
        for each in there:
            client.delete_object(Bucket=NAME, Key=each["Key"])
        for upload in client.list_multipart_uploads(Bucket=NAME).get("Uploads", ()):
            client.abort_multipart_upload(Bucket=NAME, Key=upload["Key"], UploadId=upload["UploadId"])
    return client


@pytest.fixture
def bucket_uri(s3: Any) -> str:
    """The place of a store in the bucket: nothing is there."""
    return f"s3://{NAME}/of/mine"


@pytest.fixture
def put(s3: Any) -> Callable[[str, bytes], None]:
    """Puts an object below `bucket_uri` by other means than ours."""
    return lambda key, content: s3.put_object(Bucket=NAME, Key=f"of/mine/{key}", Body=content)
