"""Reads the records of JSON lines and JSON arrays, each with its place for error messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIXES = (".jsonl", ".ndjson", ".json")


def read_records(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield (object, where) of a .jsonl or .ndjson file's lines, or of the array in a .json file.

    Raises InputError, with file and line, for what is not a JSON object in valid UTF-8.
    """
    if path.suffix.lower() == ".json":
        yield from _of_array(path)
        return
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            where = f"{path}:{number}"
            yield _object(_parse(line, where), where), where


def _of_array(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if content.lstrip()[:1] == b"{" and len(content.strip().splitlines()) > 1:
        remedy = "name the file .jsonl if each of its lines is an object"
        value = _parse(content, str(path), remedy)
    else:
        value = _parse(content, str(path))
    for number, each in enumerate(value if isinstance(value, list) else [value], start=1):
        where = f"{path}: item {number}"
        yield _object(each, where), where


def _parse(content: bytes, where: str, remedy: str = "write one JSON object per line") -> Any:
    try:
        value = json.loads(content)
        # JSON may spell half of a surrogate pair, which no text can hold.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(
            "contains half of a surrogate pair (\\ud800 to \\udfff)", where=where, remedy="remove it"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 ({error.reason})", where=where, remedy="save the file as UTF-8"
        ) from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", where=where, remedy=remedy) from None
    except RecursionError:
        raise InputError("not valid JSON: nested too deeply", where=where, remedy=remedy) from None
    return value


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError("is not a JSON object", where=where, remedy="write one JSON object per line")
    return value
