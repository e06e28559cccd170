"""Base class of the resource types' adapters, and their registry."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.session import get_session

from lab.aws.stand_in import GoneError, RefusedError, conversion, sdk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lab.aws.stand_in.cloud import Cloud
    from lab.aws.stand_in.policies import Kind

Properties = dict[str, Any]

_models = get_session()
_LOCAL: conversion.Names = {"region": None, "tags": None}
"""Properties of every type that are not members of a request."""


class Adapter(ABC):
    """One resource type: how it is created, read, changed and deleted through the API.

    Subclasses define differences in class variables, and override irregular methods.
    """

    token: ClassVar[str]
    service: ClassVar[str]
    creates: ClassVar[str]
    """The operation whose model is used for conversion, such as `CreateVpc`."""
    names: ClassVar[conversion.Names] = {}
    """Properties with another name in the request, or (None) not part of it."""
    reads: ClassVar[conversion.Names] = {}
    """The same for the API's response."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change requires replacement."""
    updates: ClassVar[frozenset[str]] = frozenset()
    """Properties that `update` can change; `tags` can be changed for every type that has them."""
    documents: ClassVar[Mapping[str, Kind]] = {}
    """Properties that are policy documents."""
    autoname: ClassVar[str] = ""
    """The property with an auto-generated name (resource name and random letters)."""
    collides: ClassVar[frozenset[str]] = frozenset()
    """Properties that must be unique: the old resource is deleted before the new one is created."""
    lower: ClassVar[bool] = False
    """Whether names are lower-case only."""

    def request(self, inputs: Properties) -> tuple[Properties, list[sdk.Fault]]:
        """Return the members of the create request, and violations of the API's model."""
        shape = _models.get_service_model(self.service).operation_model(self.creates).input_shape
        making = conversion.Request(_LOCAL | self.names)
        return making.structure(shape, inputs), making.faults

    def members(self, inputs: Properties) -> Properties:
        """Return only the members, of checked inputs."""
        return self.request(inputs)[0]

    def named(self, name: str) -> str:
        """Return the form of a generated name."""
        return name

    def call(self, aws: Cloud, operation: str, **members: Any) -> Properties:
        """Call an operation. Raises GoneError if the API reports that the resource does not exist."""
        with _gone_by_name():
            answer: Properties = getattr(aws.client(self.service), xform_name(operation))(**members)
            return answer

    def pages(self, aws: Cloud, operation: str, **members: Any) -> Iterator[Properties]:
        """The same for a paginated operation; yield each item."""
        with _gone_by_name():
            yield from aws.client(self.service).get_paginator(xform_name(operation)).paginate(**members)

    @abstractmethod
    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        """Create it and return its ID. Further calls belong in `complete`."""

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        """Complete a created resource as in the inputs; on failure it is deleted again."""

    def imported(self, aws: Cloud, identity: str) -> str:
        """Return the ID for an ID of `pulumi import`. Raises GoneError."""
        return identity

    @abstractmethod
    def read(self, aws: Cloud, identity: str) -> Properties:
        """Return its live properties, `tags` being all of them. Raises GoneError."""

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        """Change the properties that changed, of those in `updates`."""

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        """Set tags and delete removed ones."""
        raise RefusedError(f"{self.token}: the stand-in cannot change tags of this type")

    @abstractmethod
    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        """Delete it. Raises GoneError if it does not exist."""

    def outputs(self, answer: Mapping[str, Any]) -> Properties:
        """Return the properties in an API response."""
        return conversion.properties(sdk.resource_type(self.token).state, answer, self.reads)

    def combined(self, live: Properties, written: Properties) -> Properties:
        """Return input and computed properties: also in objects, as in a cluster's `vpcConfig`."""
        return conversion.combined(sdk.resource_type(self.token).state, live, written)

    @property
    def tagged(self) -> bool:
        """Whether the type has tags."""
        return "tags" in sdk.members(sdk.resource_type(self.token).arguments)


@contextlib.contextmanager
def _gone_by_name() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if gone(error):
            raise GoneError(error.response["Error"]["Message"]) from error
        raise


def gone(error: ClientError) -> bool:
    """Whether an error means that the resource does not exist: by AWS's code, never by a bare 404, which is
    also the answer for an unimplemented call.
    """
    code = error.response.get("Error", {}).get("Code", "")
    return bool(re.search(r"NotFound(Exception|Error|Fault)?$|^NoSuch|\.Unknown$|NotFoundError$", code)) and (
        code != "NotFound" or error.operation_name.startswith("Head")
    )
