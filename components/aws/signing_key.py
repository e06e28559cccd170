"""A key in KMS that signs releases: its private half is never outside, and its public half an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives import serialization
from pulumi.dynamic import CreateResult, DiffResult, Resource

from components.aws.caller import caller
from components.aws.policies import signing_key
from components.dynamic import Provider, asked_anew, settle_in
from components.errors import CloudError

if TYPE_CHECKING:
    from components.aws.location import Location

    Properties = dict[str, Any]


class KmsSigningKey(pulumi.ComponentResource):
    """A P-256 key and its public half."""

    arn: pulumi.Output[str]
    public_key: pulumi.Output[str]
    """PEM."""

    def __init__(
        self, name: str, location: Location, *, protect: bool, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the key under `name`; `protect` it like the releases that it signs."""
        super().__init__("scenario:aws:SigningKey", name, None, opts)
        kept = pulumi.ResourceOptions(parent=self, protect=protect)
        key = signing_key(name, location, f"signs releases: {name}", opts=kept)
        inputs = {"key": key.arn, "region": location.region, "caller": location.caller.told()}
        half = PublicHalf(name, inputs, pulumi.ResourceOptions(parent=self))
        self.arn, self.public_key = key.arn, half.public_key
        self.register_outputs({"arn": self.arn, "public_key": self.public_key})


class PublicHalfProvider(Provider):
    """Asks KMS for the public half of a key, once: it never changes, and previews need not ask."""

    def create(self, props: Properties) -> CreateResult:
        """Return it as PEM. Raises CloudError."""
        settle_in()
        asks = caller(props["caller"])
        try:
            kms = asks.session(props["region"]).client("kms")
            public = kms.get_public_key(KeyId=props["key"])["PublicKey"]
        except (BotoCoreError, ClientError) as error:
            message = f"{props['key']}: KMS does not tell the public half of the signing key: {error}"
            raise CloudError(message) from None
        pem = serialization.load_der_public_key(public).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return CreateResult(str(props["key"]), {**props, "public_key": pem.decode()})

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        """Another key has another half."""
        return asked_anew(olds, news, "key")


class PublicHalf(Resource, module="aws", name="PublicHalf"):
    """The public half of a key in KMS, PEM."""

    public_key: pulumi.Output[str]

    def __init__(self, name: str, inputs: Properties, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the question for the `key` of these inputs."""
        super().__init__(PublicHalfProvider(), name, {**inputs, "public_key": None}, opts)
