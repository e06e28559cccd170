"""The types of the `pulumi_aws` SDK: a resource's properties, and their validation."""

from __future__ import annotations

import collections.abc
import difflib
import importlib
import inspect
import sys
import threading
import types
import typing
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi._types import input_type_py_to_pulumi_names, input_type_types, is_input_type

from lab.aws.stand_in.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

_importing = threading.RLock()
"""The SDK imports its parts lazily, which two threads must not do at once."""

Fault = tuple[str, str]
"""The path of a property, and its fault."""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource's inputs and its state, as classes of the SDK."""

    arguments: type
    state: type


@cache
def resource_type(token: str) -> ResourceType:
    """Return the SDK's classes for a type token such as `aws:eks/cluster:Cluster`."""
    _, module, name = token.split(":")
    with _importing, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # for other types in the same package
        package = importlib.import_module(f"pulumi_aws.{module.partition('/')[0]}")
        home = sys.modules[getattr(package, name).__module__]
        # Not always named <Name>Args: that may be the class of another resource's property.
        return ResourceType(getattr(home, home.__all__[0]), getattr(home, f"_{name}State"))


@cache
def provider_type() -> type:
    """Return the SDK's class of the provider's own settings."""
    with _importing:
        return typing.cast("type", importlib.import_module("pulumi_aws").ProviderArgs)


@cache
def members(cls: type) -> dict[str, Any]:
    """Return an SDK class's properties by their wire names, with bare types."""
    with _importing:
        return {name: bare(each) for name, each in input_type_types(cls).items()}


@cache
def _required(cls: type) -> frozenset[str]:
    names = input_type_py_to_pulumi_names(cls)
    parameters = inspect.signature(cls).parameters.values()
    return frozenset(
        names[each.name] for each in parameters if each.default is each.empty and each.name in names
    )


def bare(annotation: Any) -> Any:
    """Strip Input, Output, Awaitable and Optional, leaving the wire type."""
    if typing.get_origin(annotation) not in {typing.Union, types.UnionType}:
        return annotation
    left = [each for each in typing.get_args(annotation) if not _wraps(each)]
    left = list(dict.fromkeys(bare(each) for each in left))
    return left[0] if len(left) == 1 else typing.Union[tuple(left)]  # noqa: UP007 of a list


def _wraps(annotation: Any) -> bool:
    origin = typing.get_origin(annotation) or annotation
    return origin in {collections.abc.Awaitable, pulumi.Output, type(None)}


def faults(kind: Any, value: Any, path: str = "") -> Iterator[Fault]:
    """Yield faults of a value of a bare SDK type; unknown values are valid."""
    if value is None or value == UNKNOWN:
        return
    origin, inner = typing.get_origin(kind), [bare(each) for each in typing.get_args(kind)]
    if origin in {typing.Union, types.UnionType}:
        found = [list(faults(each, value, path)) for each in inner]
        yield from min(found, key=len)
    elif origin in {collections.abc.Sequence, list}:
        if not isinstance(value, list):
            yield path, f"expected a list, got {_told(value)}"
            return
        for index, each in enumerate(value):
            yield from faults(inner[0], each, f"{path}[{index}]")
    elif origin in {collections.abc.Mapping, dict}:
        if not isinstance(value, dict):
            yield path, f"expected a mapping, got {_told(value)}"
            return
        for key, each in value.items():
            yield from faults(inner[1], each, f"{path}.{key}")
    elif isinstance(kind, type) and is_input_type(kind):
        yield from _object_faults(kind, value, path)
    else:
        yield from _scalar_faults(kind, value, path)


def _object_faults(kind: type, value: Any, path: str) -> Iterator[Fault]:
    if not isinstance(value, dict):
        yield path, f"expected an object, got {_told(value)}"
        return
    known = members(kind)
    for name, each in value.items():
        where = f"{path}.{name}" if path else name
        if name in known:
            yield from faults(known[name], each, where)
        else:
            pythonic = input_type_py_to_pulumi_names(kind)
            close = difflib.get_close_matches(name, [*known, *pythonic], n=1, cutoff=0.6)
            yield where, "no such property" + (f"; did you mean `{close[0]}`?" if close else "")
    for name in sorted(_required(kind) - set(value)):
        yield (f"{path}.{name}" if path else name), "is required and missing"


def _scalar_faults(kind: Any, value: Any, path: str) -> Iterator[Fault]:
    if kind is bool:
        right = isinstance(value, bool)
    elif kind in {int, float}:
        right = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
    elif kind is str or (isinstance(kind, type) and issubclass(kind, str)):
        right = isinstance(value, str)
    else:
        return  # Any: an open value
    if not right:
        names = {bool: "true or false", int: "a whole number", float: "a number"}
        yield path, f"expected {names.get(kind, 'a string')}, got {_told(value)}"


def _told(value: Any) -> str:
    kinds: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true or false"),
        (str, "the string "),
        ((int, float), "the number "),
        (Sequence, "a list"),
        (Mapping, "an object"),
    ]
    name = next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)
    return f"{name}{value!r}" if name.endswith(" ") else name
