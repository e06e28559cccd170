"""Prompt lookup: guess an answer's next tokens from what followed the same n-gram earlier in it or its
prompt.

After Saxena, "Prompt PromptLookup Decoding" (2023), and the `ngram` method of vLLM. A guess costs a row of a
step, a small part of the step's cost; a correct one saves a step. Pure Python: no torch, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Lengths of n-grams to look up, the longest first. A single token predicts too little.
_LONGEST, _SHORTEST = 4, 2
# Maximum guesses in one draft.
_MOST = 10
# Costs of drafting, of each additional row, and of a row's attention to each earlier token, as shares of a
# step of one row after a short prompt (measured: docs/decisions/0031).
_DRAFT_COST, _ROW_COST, _LOOK_COST = 0.12, 0.06, 0.00007
# Above this batch size, drafting for one request delays the others more than it gains.
_COMPANY = 4
# Prior counts of right and wrong guesses; the share that remains after each draft.
_PRIOR = 2.0
_KEPT = 0.9
# While guesses do not pay, one is tried after this many occasions.
_PAUSE = 8


@dataclass(slots=True)
class PromptLookup:
    """The last position of each n-gram in a sequence, and the recent success of guesses from it.

    Each token is read once, whatever the length of the sequence.
    """

    _after: dict[tuple[int, ...], int] = field(default_factory=dict)
    _read: int = 0
    _right: float = _PRIOR
    _wrong: float = _PRIOR
    _passed: int = 0

    def read(self, tokens: list[int], end: int) -> None:
        """Index `tokens[:end]`; tokens already read are not read again."""
        for at in range(self._read, end):
            for length in range(_SHORTEST, min(_LONGEST, at) + 1):
                self._after[tuple(tokens[at - length : at])] = at
        self._read = max(self._read, end)

    def draft(self, tokens: list[int], at_most: int, generating: int) -> tuple[int, ...]:
        """Guess the tokens that follow: as many as are likely to pay off, none if not worth a row.
        generating: sequences that generate in the same step.

        The more there are, the more expensive is a row: it delays all of them.
        """
        self.read(tokens, len(tokens))
        at = self._match(tokens) if generating <= _COMPANY else None
        if at is None:
            return ()
        guesses: list[int] = []
        for place in range(at, at + min(self._length(generating, len(tokens)), at_most)):
            # The token after the newest is already guessed: a repetition continues.
            guesses.append(tokens[place] if place < len(tokens) else guesses[place - len(tokens)])
        return tuple(guesses)

    def judged(self, drafted: int, accepted: int) -> None:
        """Record how many of a draft's guesses were right before the first wrong one."""
        self._right = _KEPT * self._right + accepted
        self._wrong = _KEPT * self._wrong + (accepted < drafted)

    def _match(self, tokens: list[int]) -> int | None:
        """Start of the tokens that followed the longest known n-gram at the end of `tokens`."""
        for length in range(min(_LONGEST, len(tokens)), _SHORTEST - 1, -1):
            at = self._after.get(tuple(tokens[-length:]))
            if at is not None:
                return at
        return None

    def _length(self, generating: int, context: int) -> int:
        """The number of guesses with the best throughput; if none pays, one is tried occasionally."""
        right = self._right / (self._right + self._wrong)
        tokens, all_right = float(generating), 1.0
        look = _LOOK_COST * context
        row = _ROW_COST + look
        cost = 1 + look + row * (generating - 1)
        length, best = 0, tokens / cost
        cost += _DRAFT_COST
        for guesses in range(1, _MOST + 1):
            all_right *= right
            tokens += all_right
            cost += row
            if tokens / cost > best:
                length, best = guesses, tokens / cost
        if length:
            return length
        self._passed = (self._passed + 1) % _PAUSE
        return int(self._passed == 0)
