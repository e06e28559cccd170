"""What every adapter of a resource type has in common, and the registry of them."""

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
"""Properties of every type that are no members of a request."""


class Adapter(ABC):
    """One resource type: how it is created, read, changed and deleted through the API.

    Subclasses say in class variables what differs, and override what is not regular.
    """

    token: ClassVar[str]
    service: ClassVar[str]
    creates: ClassVar[str]
    """The operation whose model the properties are converted by, such as `CreateVpc`."""
    names: ClassVar[conversion.Names] = {}
    """What is called otherwise in the request, or (None) is not part of it."""
    reads: ClassVar[conversion.Names] = {}
    """The same for what the API answers."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change takes a new resource."""
    updates: ClassVar[frozenset[str]] = frozenset()
    """Properties that `update` can change; `tags` are changed for every type that has them."""
    documents: ClassVar[Mapping[str, Kind]] = {}
    """Properties that are policy documents."""
    autoname: ClassVar[str] = ""
    """The property that gets a name of the resource's own with random letters where none is given."""
    collides: ClassVar[frozenset[str]] = frozenset()
    """Properties of which no two resources may have the same: the old one goes before the new one comes."""
    lower: ClassVar[bool] = False
    """Whether names are of small letters only."""

    def request(self, inputs: Properties) -> tuple[Properties, list[sdk.Fault]]:
        """Return the members of the creating request, and what the API's model says against them."""
        shape = _models.get_service_model(self.service).operation_model(self.creates).input_shape
        making = conversion.Request(_LOCAL | self.names)
        return making.structure(shape, inputs), making.faults

    def members(self, inputs: Properties) -> Properties:
        """Return the members alone, of inputs that were checked."""
        return self.request(inputs)[0]

    def named(self, name: str) -> str:
        """Return what a generated name becomes."""
        return name

    def call(self, aws: Cloud, operation: str, **members: Any) -> Properties:
        """Call an operation. Raises GoneError where the API says that there is no such thing."""
        with _gone_by_name():
            answer: Properties = getattr(aws.client(self.service), xform_name(operation))(**members)
            return answer

    def pages(self, aws: Cloud, operation: str, **members: Any) -> Iterator[Properties]:
        """The same for an operation that answers in pages; yield each."""
        with _gone_by_name():
            yield from aws.client(self.service).get_paginator(xform_name(operation)).paginate(**members)

    @abstractmethod
    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        """Create it and return its ID. What takes further calls belongs to `complete`."""

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        """Bring what was created to what the inputs say; where this fails it is deleted again."""

    def imported(self, aws: Cloud, identity: str) -> str:
        """Return the ID of what `pulumi import` calls so. Raises GoneError."""
        return identity

    @abstractmethod
    def read(self, aws: Cloud, identity: str) -> Properties:
        """Return its live properties, `tags` being all of them. Raises GoneError."""

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        """Change the properties that changed, of those in `updates`."""

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        """Set tags and take away those that are gone."""
        raise RefusedError(f"{self.token}: the stand-in cannot change tags of this type")

    @abstractmethod
    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        """Delete it. Raises GoneError where it is not there."""

    def outputs(self, answer: Mapping[str, Any]) -> Properties:
        """Return the properties that an answer of the API holds."""
        return conversion.properties(sdk.resource_type(self.token).state, answer, self.reads)

    def combined(self, live: Properties, written: Properties) -> Properties:
        """Return what is written, and what AWS adds: in objects too, as in a cluster's `vpcConfig`."""
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
    """Say whether an error means that the thing is not there: by AWS's code, never by a bare 404.

    The latter is also what an API answers that does not implement the call.
    """
    code = error.response.get("Error", {}).get("Code", "")
    return bool(re.search(r"NotFound(Exception|Error|Fault)?$|^NoSuch|\.Unknown$|NotFoundError$", code)) and (
        code != "NotFound" or error.operation_name.startswith("Head")
    )
