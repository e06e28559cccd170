"""Configuration files into frozen dataclasses: strict, and with one clear error per mistake.

A config class is a slots, frozen, kw_only dataclass. Its annotations are the schema: `str`, `int`, `float`,
`bool`, `Path`, `Literal[...]`, `X | None`, `tuple[X, ...]`, `dict[str, X]`, another config class, a union of
config classes told apart by their `kind: Literal["..."]`, and `Annotated[int, Range(1, 4096)]` for limits.
Where one class of a union alone has a default for `kind`, it is meant when `kind` is left out.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from scenario_model import logs
from scenario_model.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Range:
    """Allowed values of a number: `low` and `high` are allowed themselves; `above` is not."""

    low: float | None = None
    high: float | None = None
    above: float | None = None

    def __str__(self) -> str:
        lower = f"above {self.above:g}" if self.above is not None else ""
        if self.low is not None:
            lower = f"at least {self.low:g}"
        upper = f"at most {self.high:g}" if self.high is not None else ""
        return " and ".join(part for part in (lower, upper) if part)

    def __contains__(self, value: float) -> bool:
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
        )


def load(cls: type[T], mapping: object, where: str) -> T:
    """Build `cls` from parsed JSON; `where` (a file name) starts every error message.

    Raises InputError that names the key: unknown, missing, of the wrong type, or out of its range.
    """
    if not isinstance(mapping, dict):
        raise InputError(f"expected an object with keys, found {_found(mapping)}", where=where)
    return _dataclass(cls, mapping, where, "")


def load_file(cls: type[T], path: Path) -> T:
    """Build `cls` from a JSON file. Raises InputError if it cannot be read, is no JSON, or does not fit."""
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


def dump(config: Any) -> dict[str, Any]:
    """Turn a config dataclass back into plain JSON types, paths as strings: the inverse of `load`."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    return plain


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return mapping


def _dataclass(cls: type[T], mapping: dict[str, Any], where: str, prefix: str) -> T:
    hints = get_type_hints(cls, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            known = ", ".join(fields)
            raise InputError(f"unknown key {prefix + key!r}", where=where, remedy=f"known keys: {known}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in mapping:
            raise InputError(f"key {prefix + name!r} is missing", where=where, remedy="add it")
    return cls(**{key: _value(hints[key], value, where, prefix + key) for key, value in mapping.items()})


def _value(hint: Any, value: Any, where: str, key: str) -> Any:
    origin = get_origin(hint)
    if origin is Annotated:
        inner, *limits = get_args(hint)
        return _ranged(_value(inner, value, where, key), limits, where, key)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint), value, where, key)
    if origin is Literal:
        if value in get_args(hint) and type(value) is not bool:
            return value
        allowed = ", ".join(json.dumps(choice) for choice in get_args(hint))
        raise InputError(f"key {key!r} is {json.dumps(value)}", where=where, remedy=f"use one of {allowed}")
    if origin is tuple:
        _expect(isinstance(value, list | tuple), "a list", value, where, key)
        return tuple(_value(get_args(hint)[0], item, where, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        _expect(isinstance(value, dict), "an object", value, where, key)
        return {name: _value(get_args(hint)[1], item, where, f"{key}.{name}") for name, item in value.items()}
    if dataclasses.is_dataclass(hint):
        _expect(isinstance(value, dict), "an object with keys", value, where, key)
        return _dataclass(cast("type[Any]", hint), value, where, key + ".")
    return _scalar(hint, value, where, key)


def _scalar(hint: Any, value: Any, where: str, key: str) -> Any:
    if hint is bool:
        _expect(isinstance(value, bool), "true or false", value, where, key)
        return value
    if hint is int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        _expect(whole and not isinstance(value, bool), "a whole number", value, where, key)
        return int(value)
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _expect(number and math.isfinite(value), "a number", value, where, key)
        return float(value)
    if hint is str or hint is Path:
        _expect(
            isinstance(value, str | Path) and str(value) != "", "a text that is not empty", value, where, key
        )
        return hint(value)
    raise TypeError(f"annotation {hint!r} of {key!r} is not supported")


def _ranged(value: Any, limits: list[Any], where: str, key: str) -> Any:
    for limit in limits:
        if isinstance(limit, Range) and value is not None and value not in limit:
            raise InputError(f"key {key!r} is {value:g}", where=where, remedy=f"it must be {limit}")
    return value


def _union(options: tuple[Any, ...], value: Any, where: str, key: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return _value(options[0], value, where, key)
    _expect(isinstance(value, dict), "an object with the key 'kind'", value, where, key)
    kinds = {get_args(get_type_hints(option)["kind"])[0]: option for option in options}
    allowed = ", ".join(json.dumps(kind) for kind in kinds)
    usual = [kind for kind, option in kinds.items() if _has_default(option, "kind")]
    if "kind" not in value and len(usual) != 1:
        raise InputError(f"key '{key}.kind' is missing", where=where, remedy=f"use one of {allowed}")
    kind = value.get("kind", usual[0] if usual else None)
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(f"key '{key}.kind' is {_found(kind)}", where=where, remedy=f"use one of {allowed}")
    _refuse_keys_of_others(kinds, kind, value, where, key)
    return _value(kinds[kind], value, where, key)


def _has_default(option: Any, name: str) -> bool:
    return any(f.name == name and f.default is not dataclasses.MISSING for f in dataclasses.fields(option))


def _refuse_keys_of_others(
    kinds: dict[str, Any], kind: str, value: dict[str, Any], where: str, key: str
) -> None:
    """Say of a key that another kind has that it does: who mixes them up has not misspelt it."""
    fields = {each: {f.name for f in dataclasses.fields(option)} for each, option in kinds.items()}
    for name in value:
        owners = [each for each, names in fields.items() if name in names]
        if owners and kind not in owners:
            raise InputError(
                f"key {f'{key}.{name}'!r} belongs to kind {' and '.join(map(json.dumps, owners))}",
                where=where,
                remedy=f"this is kind {json.dumps(kind)}: leave it out, or change '{key}.kind'",
            )


def _expect(fits: bool, wanted: str, value: Any, where: str, key: str) -> None:
    if not fits:
        raise InputError(f"key {key!r} is {_found(value)}", where=where, remedy=f"it must be {wanted}")


def _found(value: Any) -> str:
    names = {dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value)) or json.dumps(value, default=str)
