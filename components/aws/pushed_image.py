"""Images in the account's own registry: without them, no node starts that would only wait for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pulumi.dynamic import CreateResult, DiffResult, Resource

from components.aws.caller import Caller, caller
from components.dynamic import Provider, asked_anew, settle_in
from components.errors import CloudError

if TYPE_CHECKING:
    import pulumi

    from components.aws.location import Location

    Properties = dict[str, Any]

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/(?P<repository>[a-z0-9._/-]+?)"
    r"(?::(?P<tag>[\w.-]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_ABSENT = ("ImageNotFoundException", "RepositoryNotFoundException")


class PushedImageProvider(Provider):
    """Asks the registry for an image. It makes and removes nothing."""

    def create(self, props: Properties) -> CreateResult:
        """Return its digest; an error, if it is not there."""
        settle_in()
        digest = _digest(str(props["image"]), caller(props.get("caller")), str(props["remedy"]))
        return CreateResult(digest, {**props, "digest": digest})

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        """Another image is asked for anew."""
        return asked_anew(olds, news, "image")


class PushedImage(Resource, module="aws", name="PushedImage"):
    """An image that was pushed; its `digest` is known once it is there."""

    digest: pulumi.Output[str]

    def __init__(
        self, name: str, image: str, remedy: str, asks: Caller, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the question for `image`, of a registry of AWS. `remedy`: what to do if it is not there."""
        inputs = {"image": image, "remedy": remedy, "caller": asks.told(), "digest": None}
        super().__init__(PushedImageProvider(), name, inputs, opts)


def is_in(location: Location, image: str) -> bool:
    """Whether an image is of an account's own registry, which can be asked for it."""
    found = _ECR.fullmatch(image)
    return found is not None and (found["account"], found["region"]) == (location.account, location.region)


def described(image: str, asks: Caller) -> dict[str, Any]:
    """Return what a registry of AWS tells of an image.

    Raises:
        CloudError: the name is not that of such an image.
        ClientError, BotoCoreError: it or its repository is not there, or the registry does not answer.

    """
    found = _ECR.fullmatch(image)
    if found is None:
        raise CloudError(f"{image} is no image of a registry of AWS")
    wanted = {"imageDigest": found["digest"]} if found["digest"] else {"imageTag": found["tag"] or "latest"}
    ecr = asks.session(found["region"]).client("ecr")
    told = ecr.describe_images(
        registryId=found["account"], repositoryName=found["repository"], imageIds=[wanted]
    )
    images: list[dict[str, Any]] = told["imageDetails"]
    return images[0]


def _digest(image: str, asks: Caller, remedy: str) -> str:
    try:
        return str(described(image, asks)["imageDigest"])
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise CloudError(f"{image}: the registry does not say whether it is there: {error}") from None
        raise CloudError(
            f"{image} is not in the registry yet, so no training node was started; {remedy}; then go on: make up, or "
            "pulumi up"
        ) from None
    except BotoCoreError as error:
        raise CloudError(f"{image}: the registry does not answer: {error}") from None
