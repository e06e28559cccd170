"""What components declare, without an engine: Pulumi's own mocks, and what they were told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import pulumi
from pulumi.runtime import mocks

from tests.pulumi_mocks import mocked

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Declared(mocks.Mocks):
    """Resources by type's last word and name, with their inputs."""

    resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[Any, Any]]:
        self.resources[args.typ.rpartition(":")[2], args.name] = args.inputs
        return f"{args.name}-id", args.inputs

    def call(self, args: mocks.MockCallArgs) -> NoReturn:
        raise AssertionError(f"a preview must ask nobody, and this asks {args.token}")

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: inputs for (each, name), inputs in self.resources.items() if each == kind}


def declared(build: Callable[[], object], *, preview: bool = False) -> Declared:
    """Run a program to its end."""
    told = Declared()

    def program() -> None:
        build()

    with mocked(told, preview=preview):
        pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    return told
