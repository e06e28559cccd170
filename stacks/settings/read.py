"""Stack configuration -> frozen, typed settings. Every error in a stack's file is reported here, in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from scenario_model.config import Section, problems, whole_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from scenario_model.config import Problem

PROJECT = "model-deployment-scenarios"
Settings = TypeVar("Settings", bound=Section)


# In addition to the project's own namespace, each with one of its keys as an example.
_NAMESPACES = {"premises": "inventory", "cloud": "kind", "aws": "region"}


class SettingsError(Exception):
    """Invalid settings: one line per error, each naming the file, the key and the remedy."""


def read_settings(
    kind: type[Settings], stack: str, config: Mapping[str, str], secret_keys: Collection[str] = ()
) -> Settings:
    """Turn a stack's configuration into settings.

    Args:
        kind: the settings of its scenario.
        stack: the stack's name; errors name its file.
        config: `namespace:key` -> text, structured values as JSON: what Pulumi passes to a program.
        secret_keys: the keys set with `--secret`. No setting is secret, and the value would appear in plain
            text in the state, so they are refused.

    Raises:
        SettingsError: one line per error.

    """
    where = f"stacks/Pulumi.{stack}.yaml"
    namespaces = [name for name in _NAMESPACES if name in kind.model_fields]
    values: dict[str, Any] = {name: {} for name in namespaces}
    for key, text in config.items():
        namespace, _, name = key.partition(":")
        if namespace not in {PROJECT, *namespaces} or (namespace == "aws" and key in secret_keys):
            continue
        if key in secret_keys:
            raise SettingsError(
                f"{where}: {key}: this setting appears in plain text in the state; set it without --secret"
            )
        if namespace == PROJECT and name in namespaces:
            raise SettingsError(
                f"{where}: unknown key {key!r}; {name} is a namespace: write {name}:{_NAMESPACES[name]}: …"
            )
        section = kind if namespace == PROJECT else kind.model_fields[namespace].annotation
        (values if namespace == PROJECT else values[namespace])[name] = _decoded(text, section, name)
    try:
        return kind.model_validate(whole_numbers(values))
    except ValidationError as error:
        lines = [f"{where}: {_line(each)}" for each in problems(error)]
        raise SettingsError("\n".join(lines)) from None


def _decoded(text: str, section: object, name: str) -> Any:
    """Parse a value that Pulumi passes as text: JSON, or, for a setting that is not text, a number or a boolean."""
    if text[:1] not in {"{", "["} and any(_takes_text(each) for each in _annotations(section, name)):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _annotations(section: object, name: str) -> Iterator[object]:
    """Yield the types of a key, in each section of a union that has it."""
    for option in get_args(section) or (section,):
        if isinstance(option, type) and issubclass(option, Section):
            found = [field for key, field in option.model_fields.items() if name in {key, field.alias}]
            yield from (field.annotation for field in found)


def _takes_text(annotation: object) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _takes_text(get_args(annotation)[0])
    if origin is Literal:
        return any(isinstance(value, str) for value in get_args(annotation))
    if origin is Union or type(annotation).__name__ == "UnionType":
        return any(_takes_text(each) for each in get_args(annotation))
    return annotation is str


def _line(problem: Problem) -> str:
    """Format one error: `key 'premises:inventory' is …`, `key 'recipe.rank' is …`."""
    first, _, rest = problem.key.partition(".")
    key = f"{first}:{rest}".rstrip(":") if first in _NAMESPACES else problem.key
    return str(type(problem)(key=key, what=problem.what, remedy=problem.remedy))
