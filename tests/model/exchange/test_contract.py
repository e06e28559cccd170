"""What may cross, and in which form: numbers, names and codes, never a text."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest

from scenario_model.errors import Refused
from scenario_model.exchange import contract
from scenario_model.exchange.contract import Drift, Metrics, Signal, Status

RELEASE = f"assistant@sha256:{'0' * 64}"
MESSAGES = [
    Status(at=1.5, release=RELEASE, state="serving", package="0.1.0"),
    Status(at=1.5, release=None, state="stopped", package="0.1.0", refusal="floor", step="refused"),
    Metrics(at=2.0, release=RELEASE, seconds=60.0, answered=10),
    Drift(
        at=3.0,
        release=RELEASE,
        window_seconds=3600.0,
        units=34,
        signals=(Signal(name="unigrams", value=1.5, threshold=2.0),),
        asks="warning",
    ),
]


def texts(schema: Any) -> list[dict[str, Any]]:
    """Every place in a schema that takes a text."""
    if isinstance(schema, list):
        return [found for each in schema for found in texts(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "string" else []
    return own + [found for each in schema.values() for found in texts(each)]


@pytest.mark.parametrize("kind", contract.UP)
def test_no_field_takes_free_text(kind: str) -> None:
    places = texts(contract.UP[kind].model_json_schema())
    assert places
    for place in places:
        assert {"pattern", "enum", "const"} & place.keys(), place


@pytest.mark.parametrize("kind", contract.UP)
def test_no_name_can_carry_a_sentence(kind: str) -> None:
    for place in texts(contract.UP[kind].model_json_schema()):
        if pattern := place.get("pattern"):
            import re

            for text in ("What is the capital of France?", "two words", "a\nb", "é", "x" * 200):
                assert not re.search(pattern, text), pattern


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_a_message_comes_back_as_it_was(message: contract.Message) -> None:
    content = contract.encode(message)
    assert contract.decode(content) == message
    assert set(content) <= set(string.printable.encode())


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_what_the_contract_does_not_name_is_refused_without_being_repeated(message: contract.Message) -> None:
    whole = json.loads(contract.encode(message))
    secret = "What is the capital of France?"
    for key in [*whole, "more"]:
        for value in (secret, [secret], {"a": secret}, True, float("1e300")):
            changed = json.dumps(whole | {key: value}, sort_keys=True, separators=(",", ":")).encode()
            with pytest.raises(Refused) as error:
                contract.decode(changed)
            assert "France" not in str(error.value)


def test_a_message_has_one_form_and_one_only() -> None:
    content = contract.encode(MESSAGES[0])
    for other in (
        content + b"\n",
        content.replace(b":", b": ", 1),
        content.replace(b"serving", b"\\u0073erving"),
    ):
        with pytest.raises(Refused, match="not in its form"):
            contract.decode(other)


def test_sizes_are_bounded() -> None:
    assert max(contract.LIMITS.values()) <= contract.BATCH_BYTES / 8
    assert contract.LIMITS.keys() == contract.UP.keys()
    signals = tuple(Signal(name="n" * 64, value=-1e12 / 3, threshold=-1e12 / 3) for _ in range(32))
    largest = Drift(at=1e9 / 3, release=RELEASE, window_seconds=1e9 / 3, units=2**53, signals=signals)
    assert len(contract.encode(largest)) <= contract.LIMITS["drift"]
    with pytest.raises(Refused, match="is larger than any of the contract"):
        contract.decode(b" " * 10_000)


def test_rubbish_is_refused() -> None:
    for content in (b"", b"[]", b"null", b'"status"', b"{", b"\xff", b'{"kind":"prompt"}', b"[" * 5000):
        with pytest.raises(Refused):
            contract.decode(content)
