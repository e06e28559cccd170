"""Settings as typed declarations: strict, immutable, with one clear message per error.

A setting is declared once, as a field of a `Section`: name, type, range, default, and a docstring below it.
Configuration files, `--help`, the reference documentation and the Ansible roles' options (`describe`) are
derived from that. Importing a module of settings does not import torch.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.types import Strict
from pydantic_core import PydanticCustomError, core_schema

from scenario_model import logs
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import ErrorDetails

T = TypeVar("T", bound="Section")
Item = TypeVar("Item")


def mistake(text: str) -> PydanticCustomError:
    """Return a validator's error: the user sees the path, a colon and `text`."""
    return PydanticCustomError("mistake", "{text}", {"text": text})


def bad_key(what: str, remedy: str, *, key: str = "") -> PydanticCustomError:
    """Return a validator's error for a value: the user sees `key 'x' WHAT; REMEDY`.

    `key` is relative to the path where the error is raised; empty: that path itself.
    """
    return PydanticCustomError("bad_key", "{what}", {"what": what, "key": key, "remedy": remedy})


class Section(BaseModel):
    """A part of a configuration: immutable; an error for an unknown key suggests the nearest known one."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: object) -> object:
        known = keys_of(cls)
        checked = values if isinstance(values, dict) and cls.model_config["extra"] == "forbid" else {}
        for key in checked:
            if key not in known:
                nearest = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"known keys: {', '.join(known)}"
                raise bad_key("unknown", hint, key=str(key))
        return values

    def as_given(self) -> dict[str, Any]:
        """Return the values given, as plain JSON types; for the others the reader's defaults apply."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)


def keys_of(section: type[Section]) -> list[str]:
    """Return the keys of a section as written in a configuration file."""
    return [field.alias or name for name, field in section.model_fields.items()]


_TAG = "kind:"  # what a union adds to an error's path


class Kinds:
    """Marks a union of sections told apart by `kind`: `Annotated[A | B, Kinds()]`.

    `default` applies if `kind` is missing. The error for a key of another kind names that kind: it is not a
    typo.
    """

    def __init__(self, default: str | None = None) -> None:
        self.default = default

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Build a tagged union, after a check that gives clearer errors than the union's own."""
        options: tuple[type[Section], ...] = get_args(source)
        sections = {kind: option for option in options for kind in kinds_of(option)}
        default = self.default or ""

        def kind_of(value: object) -> str:
            if isinstance(value, Section):
                return str(getattr(value, "kind", ""))
            return str(value.get("kind", default)) if isinstance(value, dict) else ""

        def check(value: object) -> object:
            allowed = f"use one of {', '.join(map(json.dumps, sections))}"
            if isinstance(value, Section):
                return value
            if not isinstance(value, dict):
                raise bad_key(f"is {_found(value)}", "it must be an object with the key 'kind'")
            if "kind" not in value and not default:
                raise bad_key("is missing", allowed, key="kind")
            if kind_of(value) not in sections or not isinstance(value.get("kind", ""), str):
                raise bad_key(f"is {_found(value['kind'])}", allowed, key="kind")
            _refuse_keys_of_other_kinds(sections, kind_of(value), value)
            return value

        union = core_schema.tagged_union_schema(
            {f"{_TAG}{kind}": handler.generate_schema(option) for kind, option in sections.items()},
            lambda value: _TAG + kind_of(value),
        )
        return core_schema.no_info_before_validator_function(check, union)


def kinds_of(section: type[Section]) -> tuple[str, ...]:
    """Return the possible values of `kind` in a section."""
    return get_args(section.model_fields["kind"].annotation)


def _refuse_keys_of_other_kinds(
    sections: Mapping[str, type[Section]], kind: str, value: Mapping[str, Any]
) -> None:
    for key in value:
        owners = [each for each, section in sections.items() if key in keys_of(section)]
        if owners and kind not in owners:
            raise bad_key(
                f"belongs to kind {' and '.join(map(json.dumps, owners))}",
                f"this is kind {json.dumps(kind)}: remove it, or change 'kind'",
                key=key,
            )


def _is_text(value: object) -> object:
    if isinstance(value, str | Path) and str(value).strip():
        return value
    raise bad_key(f"is {_found(value)}", "it must be a non-empty text")


def form(pattern: str, remedy: str) -> AfterValidator:
    """Return a check of a text's form. Its error is `remedy`: users should not have to read regular expressions."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise bad_key(f"is {_found(text)}", remedy)
        return text

    return AfterValidator(check)


def _is_on_a_host(path: Path) -> Path:
    if str(path).startswith(("/", "~/")):
        return path
    raise bad_key(f"is {_found(path)}", "it must be an absolute path on the hosts")


Text = Annotated[str, BeforeValidator(_is_text), StringConstraints(strip_whitespace=True)]
FilePath = Annotated[Path, Strict(strict=False), BeforeValidator(_is_text)]
"""A file or folder; relative paths are below the program's working directory."""
HostPath = Annotated[FilePath, AfterValidator(_is_on_a_host)]
"""A path on the hosts of the premises; a relative one would be ambiguous."""
Many = Annotated[tuple[Item, ...], Strict(strict=False)]
"""A list."""
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error in a configuration: the key as a path, the fault, and the remedy."""

    key: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        if self.what == "unknown":
            return f"unknown key {self.key!r}; {self.remedy}"
        if not self.remedy:
            return f"{self.key}: {self.what}" if self.key else self.what
        return f"key {self.key!r} {self.what}; {self.remedy}"


def problems(error: ValidationError) -> list[Problem]:
    """Return a configuration's errors, worded for users."""
    return [_problem(detail) for detail in error.errors(include_url=False)]


_MUST_BE = {
    "bool": "true or false",
    "dict": "an object",
    "finite": "a number",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "an object with keys",
    "path": "a non-empty text",
    "string": "a non-empty text",
    "tuple": "a list",
}
_BOUNDS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
}


def _problem(detail: ErrorDetails) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    key = _path(detail)
    if kind == "mistake":
        return Problem(key=key, what=context["text"])
    if kind == "bad_key":
        return Problem(key=key, what=context["what"], remedy=context["remedy"])
    if kind == "missing":
        return Problem(key=key, what="is missing", remedy="add it")
    what = f"is {_found(detail['input'])}"
    if kind in _BOUNDS:
        bounds = {name: f"{value:g}" for name, value in context.items() if isinstance(value, int | float)}
        return Problem(key=key, what=what, remedy=f"it must be {_BOUNDS[kind].format_map(bounds)}")
    if kind == "literal_error":
        allowed = str(context["expected"]).replace(" or ", ", ").replace("'", '"')
        return Problem(key=key, what=what, remedy=f"use one of {allowed}")
    wanted = _MUST_BE.get(kind.partition("_")[0])
    return Problem(key=key, what=what, remedy=f"it must be {wanted}" if wanted else detail["msg"])


def _path(detail: ErrorDetails) -> str:
    """Format an error's path as users write it: `engine.threads`, `names[0]`, without union tags."""
    parts = [part for part in detail["loc"] if not str(part).startswith(_TAG)]
    below = detail.get("ctx", {}).get("key")
    parts += [below] if below else []
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def load(cls: type[T], mapping: object, where: str) -> T:
    """Build `cls` from parsed JSON; `where` (a file's name) starts every error message.

    Raises InputError that names the key: unknown, missing, of the wrong type, or out of its range.
    """
    if not isinstance(mapping, dict):
        raise InputError(f"it must be an object with keys, not {_found(mapping)}", where=where)
    try:
        return cls.model_validate(whole_numbers(mapping))
    except ValidationError as error:
        first, *_ = problems(error)
        raise InputError(str(first), where=where) from None


def load_file(cls: type[T], path: Path) -> T:
    """Build `cls` from a JSON file. Raises InputError if it cannot be read, is not JSON, or is invalid."""
    logs.detail(f"reading {path}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"cannot read the configuration: {reason}", where=str(path)) from None
    try:
        mapping = json.loads(text, object_pairs_hook=_no_duplicates)
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", where=str(path)) from None
    return load(cls, mapping, str(path))


def dump(section: Section) -> dict[str, Any]:
    """Turn a section into plain JSON types, defaults included, paths as strings: the inverse of `load`."""
    return section.model_dump(mode="json", by_alias=True)


def whole_numbers(value: Any) -> Any:
    """Turn 8443.0 into 8443 everywhere: Ansible and Pulumi write whole numbers this way."""
    if isinstance(value, dict):
        return {key: whole_numbers(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [whole_numbers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return mapping


def _found(value: Any) -> str:
    names = {dict: "an object", list: "a list", tuple: "a list", type(None): "null"}
    return names.get(type(value)) or json.dumps(value, default=str)
