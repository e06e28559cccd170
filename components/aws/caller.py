"""Whose credentials speak to AWS: the same for Pulumi's provider, the AWS CLI and this project's own requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Credentials, as every AWS tool looks them up, changed by a profile and a role.

    Attributes:
        profile: a profile of this machine's AWS configuration; empty: as the environment says.
        role: ARN of a role that is assumed with them; empty: none.

    """

    profile: str = ""
    role: str = ""

    def session(self, region: str | None = None) -> boto3.Session:
        """Return a session of boto3. With a role its credentials are good for an hour.

        Raises:
            BotoCoreError, ClientError: there is no such profile, or the role may not be assumed.

        """
        first = boto3.Session(profile_name=self.profile or None, region_name=region)
        if not self.role:
            return first
        given = first.client("sts").assume_role(RoleArn=self.role, RoleSessionName="pulumi")["Credentials"]
        return boto3.Session(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            region_name=region or first.region_name,
        )

    def token_arguments(self) -> list[str]:
        """Return what `aws eks get-token` takes to speak for this caller."""
        profile = ["--profile", self.profile] if self.profile else []
        return profile + (["--role-arn", self.role] if self.role else [])

    def told(self) -> dict[str, str]:
        """Return it as a resource's inputs."""
        return {"profile": self.profile, "role": self.role}


def caller(inputs: Mapping[str, str] | None) -> Caller:
    """Return the caller that a resource's inputs say; an older resource says none."""
    return Caller(**inputs) if inputs else Caller()
