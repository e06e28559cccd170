"""The kinds of field that a request may have: what each accepts, and the one-line 400 for what it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.serve.errors import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUIRED = object()
_REFUSED = "not supported: other values are refused"
_NAMES: dict[type, str] = {
    str: "a text",
    list: "a list",
    dict: "an object",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request.

    read: turns a value that is not null into a parameter; raises ApiError 400 with the field's name. default:
    of a field that is missing or null. accepts, effect: for the documentation.
    """

    accepts: str
    read: Callable[[Any, str], Any]
    default: Any = None
    effect: str = ""


def read_fields(body: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """Read each field once. Raises ApiError 400 for one that is unknown, missing, or not accepted."""
    values = {name: field.default for name, field in fields.items()}
    for name, value in body.items():
        if value is not None and name not in fields:
            raise unsupported(name)
        if value is not None:
            values[name] = fields[name].read(value, name)
    for name, value in values.items():
        if value is REQUIRED:
            raise bad_request(f"'{name}' is missing.", name, "missing_required_parameter")
    return values


def text(default: Any = None, effect: str = "") -> Field:
    """A text."""
    return Field("a text", lambda value, name: expect(value, str, name), default, effect)


def flag(*, default: bool, effect: str) -> Field:
    """True or false."""
    return Field("true or false", lambda value, name: expect(value, bool, name), default, effect)


def number(low: float, high: float, default: float, effect: str) -> Field:
    """A number between low and high, inclusive."""

    def read(value: Any, name: str) -> float:
        return float(_between(expect(value, (int, float), name), low, high, name))

    return Field(f"{low:g} to {high:g}", read, default, effect)


def whole(low: int, high: float, accepts: str, effect: str) -> Field:
    """A whole number between low and high, inclusive; it may be written as `4.0`."""
    return Field(
        accepts, lambda value, name: int(_between(as_whole(value, name), low, high, name)), None, effect
    )


def ignored() -> Field:
    """A field that changes no answer, whatever it says."""
    return Field("anything", lambda value, name: None, None, "none: it changes no answer")  # noqa: ARG005


def only(*neutral: Any, accepts: str = "") -> Field:
    """A field that is not supported: accepted only at values that ask for nothing."""

    def read(value: Any, name: str) -> None:
        if not any(_same(value, nothing) for nothing in neutral):
            raise unsupported(name)

    return Field(
        accepts or ", ".join(f"`{_json(value)}`" for value in neutral) or "`null`", read, None, _REFUSED
    )


def unsupported(name: str, where: str = "") -> ApiError:
    """Build the 400 for a field that would change the answer; `where`: the object that has it, if not the request."""
    named = f"{where}.{name:.64}" if where else f"{name:.64}"
    return bad_request(
        f"Unsupported parameter: '{named}' is not supported by this server; omit it.",
        where or name[:64],
        "unsupported_parameter",
    )


def expect(value: Any, kind: type | tuple[type, ...], where: str, wanted: str = "") -> Any:
    """Return the value if it is of that JSON type. Raises ApiError 400."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds):
        return value
    if not wanted:
        wanted = "a number" if float in kinds else " or ".join(_NAMES[k] for k in kinds)
    found = "null" if value is None else _NAMES[type(value)]
    raise bad_request(f"'{where}' must be {wanted}, not {found}.", where, "invalid_type")


def as_whole(value: Any, where: str) -> int:
    """Return a whole number, which JavaScript and Lua may write as `4.0`. Raises ApiError 400."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(expect(value, int, where))


def _between(value: float, low: float, high: float, name: str) -> float:
    if not low <= value <= high:
        limits = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
        raise bad_request(f"'{name}' must be {limits}, not {value!r:.40}.", name)
    return value


def _same(value: Any, nothing: Any) -> bool:
    # In Python True == 1; in JSON they differ.
    return isinstance(value, bool) == isinstance(nothing, bool) and bool(value == nothing)


def _json(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value).replace("'", '"')
