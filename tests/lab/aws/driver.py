"""The stand-in without an engine: its gRPC methods, called as the engine calls them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from pulumi.runtime.proto import provider_pb2

from lab.aws.stand_in.engine_log import EngineLog
from lab.aws.stand_in.servicer import StandIn
from lab.aws.stand_in.values import plain, struct


class AbortedError(Exception):
    """What the engine would show as the error of a resource."""


class Context:
    def abort(self, code: object, message: str) -> NoReturn:
        raise AbortedError(message)


@dataclass
class Resource:
    """A resource as the engine remembers it: checked inputs, outputs, ID."""

    type: str
    name: str
    inputs: Any = None
    outputs: Any = None
    id: str = ""

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::project::{self.type}::{self.name}"

    @property
    def state(self) -> dict[str, Any]:
        return plain(self.outputs)


@dataclass
class Driver:
    """A configured provider."""

    settings: dict[str, Any]
    provider: StandIn = field(default_factory=lambda: StandIn("7.51.1", EngineLog()))

    def __post_init__(self) -> None:
        self.provider.Configure(provider_pb2.ConfigureRequest(args=struct(self.settings)), Context())

    def failures(self, token: str, properties: dict[str, Any], secrets: tuple[str, ...] = ()) -> list[str]:
        return [each.reason for each in self._check(Resource(token, "one"), properties, secrets).failures]

    def _check(self, resource: Resource, properties: dict[str, Any], secrets: tuple[str, ...]) -> Any:
        request = provider_pb2.CheckRequest(
            urn=resource.urn,
            type=resource.type,
            name=resource.name,
            news=struct(properties, secrets),
            olds=resource.inputs,
        )
        return self.provider.Check(request, Context())

    def checked(self, resource: Resource, properties: dict[str, Any], secrets: tuple[str, ...] = ()) -> Any:
        answer = self._check(resource, properties, secrets)
        assert not answer.failures, [each.reason for each in answer.failures]
        return answer.inputs

    def create(
        self, token: str, properties: dict[str, Any], name: str = "one", *, secrets: tuple[str, ...] = ()
    ) -> Resource:
        resource = Resource(token, name)
        resource.inputs = self.checked(resource, properties, secrets)
        request = provider_pb2.CreateRequest(
            urn=resource.urn, type=token, name=name, properties=resource.inputs
        )
        answer = self.provider.Create(request, Context())
        resource.id, resource.outputs = answer.id, answer.properties
        return resource

    def previewed(self, token: str, properties: dict[str, Any]) -> dict[str, Any]:
        resource = Resource(token, "one")
        inputs = self.checked(resource, properties)
        request = provider_pb2.CreateRequest(urn=resource.urn, type=token, properties=inputs, preview=True)
        return plain(self.provider.Create(request, Context()).properties)

    def diff(self, resource: Resource, properties: dict[str, Any]) -> Any:
        return self.provider.Diff(
            provider_pb2.DiffRequest(
                id=resource.id,
                urn=resource.urn,
                type=resource.type,
                olds=resource.outputs,
                old_inputs=resource.inputs,
                news=self.checked(resource, properties),
            ),
            Context(),
        )

    def update(self, resource: Resource, properties: dict[str, Any]) -> None:
        inputs = self.checked(resource, properties)
        request = provider_pb2.UpdateRequest(
            id=resource.id,
            urn=resource.urn,
            type=resource.type,
            olds=resource.outputs,
            old_inputs=resource.inputs,
            news=inputs,
        )
        resource.outputs = self.provider.Update(request, Context()).properties
        resource.inputs = inputs

    def refresh(self, resource: Resource) -> bool:
        """Take what is there now; say whether it still is."""
        answer = self.provider.Read(
            provider_pb2.ReadRequest(
                id=resource.id,
                urn=resource.urn,
                type=resource.type,
                properties=resource.outputs,
                inputs=resource.inputs,
            ),
            Context(),
        )
        resource.inputs, resource.outputs = answer.inputs, answer.properties
        return bool(answer.id)

    def delete(self, resource: Resource) -> None:
        request = provider_pb2.DeleteRequest(
            id=resource.id, urn=resource.urn, type=resource.type, properties=resource.outputs
        )
        self.provider.Delete(request, Context())
