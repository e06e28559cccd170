"""A lower bound of a text's tokens, from its bytes: what cannot fit the context is refused without tokenizing it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scenario_model.errors import ScenarioModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

# How many times shorter, in bytes, a text may become: Unicode composition (three Hangul letters make one syllable),
# and replacements that a byte's token undoes. Tokenizers with any other normalizer have no bound.
_SHRINKS = {"NFC": 3, "Prepend": 1, "Replace": 1}
# Pre-tokenizers that drop no character, unless their behaviour is "Removed".
_SPLITS = {"ByteLevel", "Split", "Digits", "Metaspace", "Punctuation", "UnicodeScripts"}


class TooLong(ScenarioModelError):  # noqa: N818
    """A prompt has more tokens than the context; `at_least` of them, since it was not tokenized."""

    def __init__(self, at_least: int) -> None:
        self.at_least = at_least
        super().__init__(f"the prompt has at least {at_least} tokens")


@dataclass(frozen=True, slots=True)
class PromptBound:
    """Refuses what cannot fit.

    context: tokens of prompt plus answer. longest: bytes of text in one token at most; None: any number, if the
    tokenizer drops or merges characters, or has one token for all that it does not know. dropped: bytes that it
    drops, since its vocabulary lacks them.
    """

    context: int
    longest: int | None = None
    dropped: bytes = b""

    def check(self, text: bytes, tokens: int = 0) -> None:
        """Raise TooLong if a text in UTF-8, and other `tokens`, have more tokens than the context."""
        at_least = tokens
        if self.longest is not None and len(text) > self.longest:
            at_least += -(-len(text.translate(None, self.dropped)) // self.longest)
        if at_least > self.context:
            raise TooLong(at_least)


def bound(tokenizer: Any, context: int) -> PromptBound:
    """Find the bound of a tokenizer: byte-level BPE, or BPE with a token for every byte."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if type(getattr(backend, "model", None)).__name__ != "BPE":
        return PromptBound(context)
    added = tokenizer.added_tokens_decoder.values()
    normalizers, splits = _parts(backend.normalizer), _parts(backend.pre_tokenizer)
    by_bytes = any(each["type"] == "ByteLevel" for each in splits)
    vocabulary = tokenizer.get_vocab()
    missing = _missing_bytes(vocabulary, by_bytes=by_bytes)
    if (
        any(token.lstrip or token.rstrip for token in added)
        or not all(map(_keeps_text, normalizers))
        or not all(map(_splits_only, splits))
        or not (by_bytes or (backend.model.byte_fallback and not missing))
    ):
        return PromptBound(context)
    shrinks = max((_SHRINKS[each["type"]] for each in normalizers), default=1)
    # In a byte-level vocabulary a character stands for a byte; in others U+2581 stands for a space.
    widths = (len(each) if by_bytes else len(each.replace("\u2581", " ").encode()) for each in vocabulary)
    longest = max(*widths, *(len(token.content.encode()) for token in added), 1)
    return PromptBound(context, shrinks * longest, missing)


def _missing_bytes(vocabulary: Mapping[str, int], *, by_bytes: bool) -> bytes:
    if not by_bytes:
        return bytes(byte for byte in range(256) if f"<0x{byte:02X}>" not in vocabulary)
    # The bytes that show as themselves; the others are numbered from U+0100 on, as in GPT-2.
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = dict(
        zip(shown + hidden, [*map(chr, shown), *(chr(256 + n) for n in range(len(hidden)))], strict=True)
    )
    return bytes(byte for byte, letter in letters.items() if letter not in vocabulary)


def _keeps_text(normalizer: dict[str, Any]) -> bool:
    if normalizer["type"] == "Replace":
        return (normalizer["pattern"], normalizer["content"]) == ({"String": " "}, "\u2581")
    return normalizer["type"] in _SHRINKS


def _splits_only(pre_tokenizer: dict[str, Any]) -> bool:
    return pre_tokenizer["type"] in _SPLITS and pre_tokenizer.get("behavior") != "Removed"


def _parts(component: Any) -> list[dict[str, Any]]:
    """The description of a normalizer or pre-tokenizer, or of each in a sequence of them."""
    if component is None:
        return []
    whole = json.loads(component.__getstate__())
    parts = whole.get("normalizers", whole.get("pretokenizers"))
    return [whole] if parts is None else list(parts)
