"""Describes settings: for `--help`, the reference documentation, and the Ansible roles' options."""

from __future__ import annotations

import inspect
import json
import textwrap
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic_core import PydanticUndefined

from scenario_model.config import Kinds, Section, kinds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo

_WIDTH = 100
_WORDS = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One declared setting.

    Attributes:
        key: its path, as in `limits.body_bytes`.
        kind: the `kind` or kinds that it belongs to; empty if there is only one.
        type: its values, in words.
        default: as JSON; empty if it is required.
        help: its meaning.

    """

    key: str
    kind: str
    type: str
    default: str
    help: str


def settings_of(section: type[Section], above: str = "", kind: str = "") -> Iterator[Setting]:
    """Yield the settings of a section, with nested sections' settings prefixed by their names."""
    for name, field in section.model_fields.items():
        key = f"{above}{field.alias or name}"
        inner = sections_in(field)
        if name == "kind" and kind:
            continue  # described with the union
        if not inner:
            text = type_of(field.annotation, field.metadata)
            yield Setting(
                key=key, kind=kind, type=text, default=default_of(field), help=one_line(field.description)
            )
            continue
        if len(inner) > 1:
            names = [each for option in inner for each in kinds_of(option)]
            default = next((each.default for each in field.metadata if isinstance(each, Kinds)), None)
            yield Setting(
                key=f"{key}.kind",
                kind=kind,
                type=_alternatives(names),
                default=json.dumps(default) if default else "",
                help="; ".join(f"{' or '.join(kinds_of(each))}: {summary(each)}" for each in inner),
            )
        for option in inner:
            own = f"{'/'.join(kinds_of(option))}" if len(inner) > 1 else kind
            yield from settings_of(option, f"{key}.", own)


def sections_in(field: FieldInfo) -> tuple[type[Section], ...]:
    """Return a field's section, or the members of its union."""
    options = get_args(field.annotation) or (field.annotation,)
    if any(isinstance(each, Kinds) for each in field.metadata) or len(options) <= 2:
        found = [each for each in options if isinstance(each, type) and issubclass(each, Section)]
        if get_origin(field.annotation) in {None, Union, types.UnionType}:
            return tuple(found)
    return ()


def summary(section: type[Section]) -> str:
    """Return the first sentence of a section's docstring, without its full stop."""
    return one_line(section.__doc__).partition(". ")[0].rstrip(".")


def one_line(text: str | None) -> str:
    """Return a docstring as one line."""
    return " ".join(inspect.cleandoc(text or "").split())


def default_of(field: FieldInfo) -> str:
    """Return the default as JSON; empty if the setting is required."""
    if field.is_required():
        return ""
    value = field.default if field.default is not PydanticUndefined else field.default_factory()  # type: ignore[misc, call-arg]
    value = str(value) if isinstance(value, Path) else value
    return json.dumps(value, default=str)


def type_of(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """Describe in words which values an annotation allows."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_of(arguments[0], [*arguments[1:], *metadata])
    if origin is Literal:
        return _alternatives(arguments)
    if origin in {Union, types.UnionType}:
        return " or ".join(
            dict.fromkeys("null" if each is type(None) else type_of(each, metadata) for each in arguments)
        )
    if origin is tuple:
        return f"list of {_plural(type_of(arguments[0]))}"
    if origin is dict:
        return f"mapping of text to {type_of(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"section ({', '.join(annotation.model_fields)})"
    return f"{_WORDS.get(annotation, str(annotation))}{_bounds(metadata)}"


def _alternatives(values: Any) -> str:
    named = [str(each) for each in values if each is not None]
    return f"{', '.join(named[:-1])} or {named[-1]}" if len(named) > 1 else named[0]


def _plural(text: str) -> str:
    word, _, rest = text.partition(" ")
    return f"{word}s {rest}".rstrip() if word.rstrip(",") in _WORDS.values() or word == "section" else text


def _bounds(metadata: list[Any] | tuple[Any, ...]) -> str:
    flat = [part for each in metadata for part in (getattr(each, "metadata", None) or [each])]
    low, above, high, below = (_bound(flat, kind) for kind in (Ge, Gt, Le, Lt))
    if low and high:
        return f" {low} to {high}"
    parts = [f"from {low}" if low else "", f"above {above}" if above else ""]
    parts += [f"up to {high}" if high else "", f"below {below}" if below else ""]
    said = ", ".join(part for part in parts if part)
    return f" {said}" if said else ""


def _bound(metadata: list[Any], kind: type[Any]) -> str:
    found = next((each for each in metadata if isinstance(each, kind)), None)
    return "" if found is None else f"{getattr(found, kind.__name__.lower())}"


def with_settings(section: type[Section]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Append the settings of a configuration file to a command's help; apply below `click.command`."""

    def append(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__doc__ = (
            f"{inspect.cleandoc(function.__doc__ or '')}\n\n\b\nSettings:\n{help_text(section)}"
        )
        return function

    return append


def help_text(section: type[Section]) -> str:
    """Return the settings of a section for a terminal: a line with key, values and default, then the meaning."""
    lines = []
    for each in settings_of(section):
        default = f", default {each.default}" if each.default else ", required"
        kind = f" [{each.kind}]" if each.kind else ""
        lines.append(f"  {each.key}{kind}: {each.type}{default}")
        lines += textwrap.wrap(each.help, _WIDTH, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)
