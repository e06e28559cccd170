"""What can never fit the context is refused by its bytes; what may fit is never refused by them."""

from __future__ import annotations

import asyncio
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from scenario_model.serve.errors import ApiError
from scenario_model.serve.prompt_bounds import TooLong, bound
from scenario_model.serve.prompts import PromptEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTEXT = 64
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def fast(model: models.Model, *, normalizer: Any = None, pre_tokenizer: Any = None) -> Any:
    tokenizer = Tokenizer(model)
    for name, part in (("normalizer", normalizer), ("pre_tokenizer", pre_tokenizer)):
        if part is not None:
            setattr(tokenizer, name, part)
    tokenizer.decoder = decoders.ByteLevel()
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer)


def byte_level(**parts: Any) -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "aa", "aaaa"])}
    merges = [("a", "a"), ("aa", "aa")]
    pre = parts.pop("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=False))
    return fast(models.BPE(vocabulary, merges), pre_tokenizer=pre, **parts)


def by_fallback(**parts: Any) -> Any:
    vocabulary = {text: number for number, text in enumerate([*BYTES, "<unk>", "\u2581", "a", "\u2581a"])}
    merges = [("\u2581", "a")]
    model = models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    return fast(model, **parts)


BOUNDED: dict[str, Callable[[], Any]] = {
    "byte-level": byte_level,
    "composed": lambda: byte_level(normalizer=normalizers.NFC()),
    "split by a pattern": lambda: byte_level(
        pre_tokenizer=pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
                pre_tokenizers.ByteLevel(use_regex=False),
            ]
        )
    ),
    "a token for each byte": lambda: by_fallback(
        normalizer=normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    ),
}
UNBOUNDED: dict[str, Callable[[], Any]] = {
    "that strips": lambda: byte_level(normalizer=normalizers.Strip()),
    "that shortens": lambda: byte_level(normalizer=normalizers.Replace(Regex("a+"), "a")),
    "that composes compatibly": lambda: byte_level(normalizer=normalizers.NFKC()),
    "that drops spaces": lambda: byte_level(pre_tokenizer=pre_tokenizers.WhitespaceSplit()),
    "that removes what it splits at": lambda: byte_level(
        pre_tokenizer=pre_tokenizers.Sequence(
            [pre_tokenizers.Split("x", "removed"), pre_tokenizers.ByteLevel(use_regex=False)]
        )
    ),
    "with one token for the unknown": lambda: fast(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")),
    "with pieces of its own": lambda: fast(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0)),
}
texts = st.text(
    st.sampled_from("a bé한<|x>\x04\u0301\u212a\U0001d5d4") | st.characters(codec="utf-8"), max_size=400
)


@pytest.fixture(scope="module")
def packaged(packaged_tokenizer: Path) -> Any:
    return AutoTokenizer.from_pretrained(packaged_tokenizer, local_files_only=True)


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from([*BOUNDED, *UNBOUNDED]), text=texts, decomposed=st.booleans())
def test_the_bound_is_never_above_the_true_number(kind: str, text: str, decomposed: bool) -> None:
    tokenizer = MADE[kind]
    text = unicodedata.normalize("NFD", text) if decomposed else text
    tokens = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    try:
        bound(tokenizer, 0).check(text.encode())
        at_least = 0
    except TooLong as error:
        at_least = error.at_least
    assert at_least <= tokens


MADE: dict[str, Any] = {kind: make() for kind, make in (BOUNDED | UNBOUNDED).items()}


@settings(max_examples=30, deadline=None)
@given(text=texts)
def test_nor_is_it_with_the_models_own_tokenizer(packaged: Any, text: str) -> None:
    limit = bound(packaged, 0)
    assert limit.longest == 81
    tokens = len(packaged(text * 20, add_special_tokens=False)["input_ids"])
    assert -(-len((text * 20).encode().translate(None, limit.dropped)) // limit.longest) <= tokens


@pytest.mark.parametrize("kind", BOUNDED)
def test_a_tokenizer_that_keeps_the_text_has_a_bound(kind: str) -> None:
    longest = bound(MADE[kind], CONTEXT).longest
    assert longest is not None
    assert longest <= 12


@pytest.mark.parametrize("kind", UNBOUNDED)
def test_a_tokenizer_has_none(kind: str) -> None:
    assert bound(MADE[kind], CONTEXT).longest is None


def test_a_token_that_swallows_the_spaces_around_it_has_none() -> None:
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True)])
    assert bound(tokenizer, CONTEXT).longest is None


MEGABYTE = 2**20
HOSTILE = {
    "special tokens": ["<|im_end|>" * (MEGABYTE // 10)],
    "special tokens and text": ["a<|im_end|>" * (MEGABYTE // 11)],
    "all special tokens": ["<|im_end|><|im_start|><file_sep><empty_output>" * (MEGABYTE // 46)],
    "one letter": ["a" * MEGABYTE],
    "spaces": [" " * MEGABYTE],
    "words": ["seven words and a full stop more. " * (MEGABYTE // 34)],
    "many messages": [""] * (MEGABYTE // 30),
    "many messages of a special token": ["<|im_end|>"] * (MEGABYTE // 40),
}


class Counting:
    """The tokenizer, which counts how often it is asked."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer, self.calls = tokenizer, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __len__(self) -> int:
        return len(self._tokenizer)

    def __call__(self, *texts: Any, **options: Any) -> Any:
        self.calls += 1
        return self._tokenizer(*texts, **options)


@pytest.fixture
def counting(packaged: Any) -> Counting:
    return Counting(packaged)


@pytest.fixture
def encoder(counting: Counting) -> Iterator[PromptEncoder]:
    encoder = PromptEncoder(counting, max_context=2048)
    counting.calls = 0  # it has asked how a text begins
    yield encoder
    encoder.close()


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_megabyte_that_cannot_fit_is_never_tokenized(
    encoder: PromptEncoder, counting: Counting, kind: str
) -> None:
    messages = [{"role": "user", "content": text} for text in HOSTILE[kind]]
    with pytest.raises(ApiError, match=r"'messages' has at least \d+ tokens") as refused:
        asyncio.run(encoder.chat(messages))
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")
    assert counting.calls == 0


@pytest.mark.parametrize(
    "prompt", ["a" * MEGABYTE, (1,) * 300_000, (10**9,) * 300_000], ids=["a text", "ids", "ids of no token"]
)
def test_nor_is_one_to_be_continued(
    encoder: PromptEncoder, counting: Counting, prompt: str | tuple[int, ...]
) -> None:
    with pytest.raises(ApiError, match=r"'prompt' has at least \d+ tokens"):
        asyncio.run(encoder.completion(prompt))
    assert counting.calls == 0


def test_spelled_special_tokens_are_tokenized_in_one_batch(
    encoder: PromptEncoder, counting: Counting, packaged: Any
) -> None:
    text = "one<|im_end|>two<|im_start|><|im_end|>" * 40
    ids = asyncio.run(encoder.chat([{"role": "user", "content": text}]))
    assert counting.calls == 2
    assert text in packaged.decode(ids)


def test_what_may_fit_is_not_refused(packaged: Any) -> None:
    encoder = PromptEncoder(packaged, max_context=1)
    # The longest token of the vocabulary has 81 bytes, and its tokenizer drops some control characters.
    assert len(asyncio.run(encoder.completion("\n" + " " * 80))) == 1
    assert len(asyncio.run(encoder.completion("\x04" * 10**6))) <= 1
    with pytest.raises(ApiError, match="at least 2 tokens"):
        asyncio.run(encoder.completion("#" * 82))
    encoder.close()
