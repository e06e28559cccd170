"""Prompt lookup: guess an answer's next tokens from what followed the same words earlier in it or its prompt.

After Saxena, "Prompt Lookup Decoding" (2023), and the `ngram` method of vLLM. A guess costs a row of a step,
which is a small part of what a step costs anyway; a right one saves a step. Pure Python: no torch, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# The longest run of tokens that is looked for; shorter ones follow.
_LONGEST = 3
# Guesses in one draft, at most.
_MOST = 8
# What drafting costs, and what each row more costs, as shares of a step of one row (docs/decisions/0031).
_DRAFT_COST, _ROW_COST = 0.12, 0.055
# Right and wrong guesses that are assumed before there are any, and how fast old ones are forgotten.
_PRIOR = (2.0, 2.0)
_KEPT = 0.9
# While guesses do not pay, this many occasions go by until one is tried again.
_PAUSE = 8


@dataclass(slots=True)
class _Record:
    """How guesses fared lately: right and wrong ones, older ones weighing less."""

    right: float = _PRIOR[0]
    wrong: float = _PRIOR[1]
    passed: int = 0

    def length(self, generating: int) -> int:
        """Return how many guesses give most tokens for their time; if none do, one is tried now and then."""
        right = self.right / (self.right + self.wrong)
        tokens, all_right = float(generating), 1.0
        cost = 1 + _ROW_COST * (generating - 1)
        length, best = 0, tokens / cost
        cost += _DRAFT_COST
        for guesses in range(1, _MOST + 1):
            all_right *= right
            tokens += all_right
            cost += _ROW_COST
            if tokens / cost > best:
                length, best = guesses, tokens / cost
        if length:
            return length
        self.passed = (self.passed + 1) % _PAUSE
        return int(self.passed == 0)

    def judged(self, drafted: int, accepted: int) -> None:
        self.right = _KEPT * self.right + accepted
        self.wrong = _KEPT * self.wrong + (accepted < drafted)


@dataclass(slots=True)
class Lookup:
    """Where each short run of one sequence's tokens stood last, and whether that was of use.

    A token is read once, whatever the length of the sequence.
    """

    _after: dict[tuple[int, ...], int] = field(default_factory=dict)
    _read: int = 0
    _records: list[_Record] = field(default_factory=lambda: [_Record() for _ in range(_LONGEST + 1)])
    _matched: int = 0

    def read(self, tokens: list[int], end: int) -> None:
        """Take note of `tokens[:end]`; what was read before is not read again."""
        for at in range(self._read, end):
            for length in range(1, min(_LONGEST, at) + 1):
                self._after[tuple(tokens[at - length : at])] = at
        self._read = max(self._read, end)

    def match(self, tokens: list[int]) -> tuple[int, int]:
        """Find the longest run that `tokens` end with and that stood there before.

        Returns its length (0: none) and where the tokens after its last occurrence begin.
        """
        self.read(tokens, len(tokens))
        for length in range(min(_LONGEST, len(tokens) - 1), 0, -1):
            at = self._after.get(tuple(tokens[-length:]))
            if at is not None:
                return length, at
        return 0, 0

    def draft(self, tokens: list[int], at_most: int, generating: int) -> tuple[int, ...]:
        """Guess what follows `tokens`: as many as are likely to pay, none if it is not worth a row.

        generating: sequences that generate in the same step. The more there are, the dearer is a row: it
        holds up all of them.
        """
        self._matched, at = self.match(tokens)
        if not self._matched:
            return ()
        length = min(self._records[self._matched].length(generating), at_most)
        guesses: list[int] = []
        for place in range(at, at + length):
            # What comes after the newest token is guessed already: a run that repeats itself goes on.
            guesses.append(tokens[place] if place < len(tokens) else guesses[place - len(tokens)])
        return tuple(guesses)

    def judged(self, drafted: int, accepted: int) -> None:
        """Learn how many of the last draft's guesses were right."""
        self._records[self._matched].judged(drafted, accepted)
