"""A stand-in for Pulumi's AWS provider plugin: for the lab, where the real plugin is not installed.

It checks every property against the types of the `pulumi_aws` SDK and the enumerations of botocore, makes
what it can through boto3 in the lab's AWS API, and refuses by name what it does not cover. It never calls
AWS.
"""

from __future__ import annotations


class RefusedError(Exception):
    """What the stand-in will not do; one line that names it."""


class GoneError(Exception):
    """The resource is not there any more."""
