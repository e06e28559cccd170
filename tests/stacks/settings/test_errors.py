"""Errors in settings say what is wrong, where, and what to do: for every key, and in no validator's own words."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic import ValidationError

from scenario_model.config import Section, problems
from scenario_model.serve.settings import ApiKeys, ServeSettings
from stacks.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = ["", "a b\n", "^", "nonsense"]
WRONG: list[Any] = [*TEXTS, None, True, -1, 10**9, 1.5, [], [[]], [""], {}, {"a b": ""}, {"": None}]
# Words of validators.
RAW = ("Input", "Field", "Value error", "unable to", "discriminator", "pattern", "valid", "^[", "\\d", "[a-z")


def sections(found: type[Section]) -> Iterator[type[Section]]:
    yield found
    pending = [field.annotation for field in found.model_fields.values()]
    while pending:
        each = pending.pop()
        pending += get_args(each)
        if isinstance(each, type) and issubclass(each, Section):
            yield from sections(each)


def settings() -> list[type[Section]]:
    tops = [importlib.import_module(each.module).Settings for each in SCENARIOS.values()]
    return sorted({each for top in [*tops, ServeSettings, ApiKeys] for each in sections(top)}, key=str)


@pytest.mark.parametrize("section", settings(), ids=lambda section: section.__name__)
def test_a_wrong_value_is_said_with_its_key_and_a_remedy(section: type[Section]) -> None:
    for name, field in section.model_fields.items():
        key = field.alias or name
        for value in WRONG:
            try:
                section.model_validate({key: value})
            except ValidationError as error:
                for problem in problems(error):
                    assert problem.key or problem.remedy or len(problem.what.split()) > 4, (key, value)
                    if problem.key.startswith(key):
                        text = str(problem).replace(repr(value), "").replace(problem.key, "")
                        assert not [raw for raw in RAW if raw in text], (key, value, str(problem))
                        assert problem.remedy or ";" in problem.what or len(problem.what.split()) > 4, str(
                            problem
                        )
