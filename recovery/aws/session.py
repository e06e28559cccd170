"""Credentials of a recovery: as every AWS tool looks them up, or a profile's, or a role's, as the stack names them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from recovery import RecoveryError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def session(region: str, profile: str = "", role: str = "") -> boto3.Session:
    """Return a session of boto3; with a role its credentials are good for an hour.

    Raises:
        BotoCoreError, ClientError: there is no such profile, or the role may not be assumed.

    """
    first = boto3.Session(profile_name=profile or None, region_name=region)
    if not role:
        return first
    given = first.client("sts").assume_role(RoleArn=role, RoleSessionName="recovery")["Credentials"]
    return boto3.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        region_name=region,
    )


def session_of(provider: Mapping[str, Any]) -> boto3.Session:
    """Return a session for the inputs of Pulumi's AWS provider, as a state has them: lists are JSON."""
    roles = json.loads(provider.get("assumeRoles") or "[]")
    role = roles[0].get("roleArn", "") if roles else ""
    return session(str(provider["region"]), str(provider.get("profile") or ""), role)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command take where to look, and as whom."""
    parser.add_argument("--region", required=True)
    parser.add_argument(
        "--profile", default="", help="a profile of the AWS configuration: the stack's aws:profile"
    )
    parser.add_argument(
        "--role", default="", help="ARN of a role to assume: that of the stack's aws:assumeRoles"
    )


def asking(arguments: argparse.Namespace) -> boto3.Session:
    """Return the session of these arguments. Raises RecoveryError."""
    try:
        return session(arguments.region, arguments.profile, arguments.role)
    except (BotoCoreError, ClientError) as error:
        raise RecoveryError(f"no credentials: {error}") from None
