"""Buckets that a test made in the lab's AWS, which other tests want to find empty."""

from __future__ import annotations

import boto3


def remove(name: str) -> None:
    """Delete a bucket with all that is in it."""
    bucket = boto3.resource("s3").Bucket(name)
    bucket.objects.all().delete()
    bucket.delete()
