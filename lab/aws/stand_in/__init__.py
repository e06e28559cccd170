"""A stand-in for Pulumi's AWS provider plugin: for a lab without the real plugin.

It checks every property against the types of the `pulumi_aws` SDK and the enumerations of botocore, creates
supported resources through boto3 in the lab's AWS API, and refuses others by name. It never calls AWS.
"""

from __future__ import annotations


class RefusedError(Exception):
    """An unsupported request; one line that names it."""


class GoneError(Exception):
    """The resource no longer exists."""
