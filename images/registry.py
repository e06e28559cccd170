"""The account's own image registry: which images it has, and a token to push others."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from components.aws.pushed_image import described
from images import ImagesError

if TYPE_CHECKING:
    from components.aws.location import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """ECR of one account and region, asked with a stack's own credentials."""

    location: Location

    @property
    def host(self) -> str:
        """Its name, without a scheme."""
        return self.location.registry

    def has(self, image: str) -> bool:
        """Whether an image of the account is there. Raises ImagesError."""
        try:
            described(image, self.location.caller)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ImageNotFoundException":
                return False
            if code == "RepositoryNotFoundException":
                raise ImagesError(
                    f"{self.host} has no repository for {image}",
                    remedy="the stack makes it: make image, or pulumi up --target '**ImageRegistry**'",
                ) from None
            raise _refused(image, error) from None
        except BotoCoreError as error:
            raise _refused(image, error) from None
        return True

    def token(self) -> tuple[str, str]:
        """Return a user and a password, good for twelve hours. Raises ImagesError."""
        try:
            ecr = self.location.caller.session(self.location.region).client("ecr")
            given = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        except (ClientError, BotoCoreError) as error:
            raise _refused(self.host, error) from None
        user, _, password = base64.b64decode(given).decode().partition(":")
        return user, password


def _refused(what: str, error: Exception) -> ImagesError:
    return ImagesError(f"{what}: AWS does not answer: {' '.join(str(error).split())}")
