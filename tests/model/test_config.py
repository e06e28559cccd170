"""Configuration: strict, and each mistake is one error that names file, key and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from scenario_model.config import FilePath, Kinds, Many, Section, Text, dump, load, load_file
from scenario_model.errors import InputError


class Cat(Section):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(Section):
    kind: Literal["dog"] = "dog"
    tricks: Many[Text] = ()


class House(Section):
    path: FilePath
    rooms: Annotated[int, Field(ge=1, le=9)] = 2
    heat: Annotated[float, Field(gt=0)] | None = None
    open: bool = False
    pet: Annotated[Cat | Dog, Kinds()] = Cat()
    names: dict[str, int] = Field(default_factory=dict)


def test_every_kind_of_value_is_read() -> None:
    mapping = {
        "path": "/a",
        "rooms": 3.0,
        "heat": 1,
        "open": True,
        "pet": {"kind": "dog", "tricks": ["sit"]},
        "names": {"a": 1},
    }
    expected = House(path=Path("/a"), rooms=3, heat=1.0, open=True, pet=Dog(tricks=("sit",)), names={"a": 1})
    assert load(House, mapping, "x") == expected


class Rabbit(Section):
    kind: Literal["rabbit"] = "rabbit"
    carrots: int = 0


class Hutch(Section):
    pet: Annotated[Cat | Rabbit, Kinds(default="cat")]


def test_the_default_kind_is_meant_where_none_is_named() -> None:
    assert load(Hutch, {"pet": {"lives": 3}}, "x").pet == Cat(lives=3)
    assert load(Hutch, {"pet": {"kind": "rabbit", "carrots": 3}}, "x").pet == Rabbit(carrots=3)
    with pytest.raises(InputError, match="carrots' belongs to kind"):
        load(Hutch, {"pet": {"carrots": 3}}, "x")


def test_what_is_dumped_loads_again() -> None:
    house = House(path=Path("/a"), pet=Dog(tricks=("sit", "roll")))
    assert load(House, dump(house), "x") == house


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "x: key 'path' is missing; add it"),
        ({"path": "a", "roms": 1}, "x: unknown key 'roms'; did you mean 'rooms'?"),
        ({"path": ""}, "x: key 'path' is \"\"; it must be a non-empty text"),
        ({"path": 3}, "x: key 'path' is 3; it must be a non-empty text"),
        ({"path": "a", "rooms": 0}, "x: key 'rooms' is 0; it must be at least 1"),
        ({"path": "a", "rooms": True}, "x: key 'rooms' is true; it must be a whole number"),
        ({"path": "a", "rooms": "2"}, "x: key 'rooms' is \"2\"; it must be a whole number"),
        ({"path": "a", "rooms": 1.5}, "x: key 'rooms' is 1.5; it must be a whole number"),
        ({"path": "a", "rooms": None}, "x: key 'rooms' is null; it must be a whole number"),
        ({"path": "a", "heat": 0}, "x: key 'heat' is 0; it must be above 0"),
        ({"path": "a", "heat": float("nan")}, "x: key 'heat' is NaN; it must be a number"),
        ({"path": "a", "open": 1}, "x: key 'open' is 1; it must be true or false"),
        ({"path": "a", "pet": "cat"}, "x: key 'pet' is \"cat\"; it must be an object with the key 'kind'"),
        ({"path": "a", "pet": {}}, 'x: key \'pet.kind\' is missing; use one of "cat", "dog"'),
        ({"path": "a", "pet": {"kind": "cow"}}, 'x: key \'pet.kind\' is "cow"; use one of "cat", "dog"'),
        (
            {"path": "a", "pet": {"kind": "cat", "tricks": []}},
            (
                "x: key 'pet.tricks' belongs to kind \"dog\"; "
                "this is kind \"cat\": remove it, or change 'kind'"
            ),
        ),
        (
            {"path": "a", "pet": {"kind": "cat", "lifes": 7}},
            "x: unknown key 'pet.lifes'; did you mean 'lives'?",
        ),
        (
            {"path": "a", "pet": {"kind": "dog", "tricks": [1]}},
            "x: key 'pet.tricks[0]' is 1; it must be a non-empty text",
        ),
        ({"path": "a", "names": {"b": []}}, "x: key 'names.b' is a list; it must be a whole number"),
        ([], "x: it must be an object with keys, not a list"),
    ],
)
def test_a_mistake_is_named(mapping: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        load(House, mapping, "x")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"path": "a",}', "not valid JSON"),
        (b'{"path": "a", "path": "b"}', "duplicate key 'path'"),
        (b"\xff\xfe", "cannot read the configuration"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        load_file(House, tmp_path / "c.json")
    assert str(error.value).startswith(str(tmp_path / "c.json"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"c\.json: cannot read the configuration: No such file"):
        load_file(House, tmp_path / "c.json")


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"path": "a"}))
    assert load_file(House, tmp_path / "c.json") == House(path=Path("a"))
