"""Text comes in whole characters, and nothing of a stop string comes at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from scenario_model.serve.engine.text import TextStream

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = "Grüße, 漢字 und 🤦🏽‍♂️ — naïve café; नमस्ते 🇨🇭!"


@pytest.fixture(scope="module")
def tokenizer(tiny_checkpoint: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_checkpoint / "tokenizer.json"))


def _bytes_tokenizer() -> Tokenizer:
    """Every byte a token: each character that is not ASCII is spread over several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


_BYTES = _bytes_tokenizer()


def test_characters_spread_over_tokens_come_whole(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer.encode(_WORDS).ids]
    assert "".join(pieces) == _WORDS
    assert len(pieces) > len([piece for piece in pieces if piece])
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in pieces)


def test_a_character_that_is_never_finished_does_not_come(tokenizer: Tokenizer) -> None:
    ids = _BYTES.encode("ab漢").ids
    stream = TextStream(_BYTES)
    assert [stream.push(token) for token in ids[:-1]] + [stream.finish()] == ["a", "b", "", "", ""]


def test_what_may_be_the_start_of_a_stop_string_is_held_back_until_it_is_not() -> None:
    stream = TextStream(_BYTES, stop=("\n\nUser", "END"))
    text = [stream.push(token) for token in _BYTES.encode("a\n\nUsEN").ids]
    assert text == ["a", "", "", "", "", "\n\nUs", ""]
    assert stream.finish() == "EN"
    assert not stream.stopped


def test_special_tokens_are_no_text(tokenizer: Tokenizer) -> None:
    stream = TextStream(tokenizer)
    ids = tokenizer.encode("one<|im_end|>two").ids
    assert "".join(stream.push(token) for token in ids) == "onetwo"


@settings(deadline=None, max_examples=300)
@given(
    st.text(alphabet="abé漢🙂\n", max_size=30),
    st.lists(st.text(alphabet="abé漢🙂\n", min_size=1, max_size=5), max_size=3),
)
def test_the_answer_is_the_text_before_the_first_stop_string(text: str, stop: list[str]) -> None:
    stream, sent = TextStream(_BYTES, tuple(stop)), ""
    # The stop string that is complete first ends the answer: what comes after it is never generated.
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(mark) for mark in stop)]
    for token in _BYTES.encode(text).ids:
        sent += stream.push(token)
        assert text.startswith(sent)
        if stream.stopped:
            break
    sent += stream.finish()
    if not ends:
        assert sent == text
        assert not stream.stopped
    else:
        seen = text[: ends[0]]
        assert sent == seen[: min(seen.find(mark) for mark in stop if mark in seen)]
        assert stream.stopped
