"""Converts token ids to text that can be sent: whole characters, no part of a stop string."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TextStream:
    """The text of one answer, growing token by token.

    A character whose bytes span several tokens is sent when complete; an incomplete one is never sent. The
    answer ends before the first stop string, and a possible start of one is held back until it is ruled out.
    """

    def __init__(self, tokenizer: Tokenizer, stop: tuple[str, ...] = ()) -> None:
        self._tokenizer = tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Add a token and return the text to send now. Sets `stopped` when a stop string is complete."""
        self._held += self._decoder.step(self._tokenizer, token) or ""
        found = [at for at in (self._held.find(text) for text in self._stop) if at >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
            return text
        safe = len(self._held) - self._possible_start()
        text, self._held = self._held[:safe], self._held[safe:]
        return text

    def finish(self) -> str:
        """Return the text held back: the answer ended without that stop string."""
        text, self._held = self._held, ""
        return text

    def _possible_start(self) -> int:
        """Length of the longest suffix of the held text that is a prefix of a stop string."""
        longest = max((len(text) for text in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(text.startswith(self._held[-length:]) for text in self._stop):
                return length
        return 0
