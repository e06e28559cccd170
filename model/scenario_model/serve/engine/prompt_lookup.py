"""Prompt lookup: guess an answer's next tokens from what followed the same words earlier in it or its prompt.

After Saxena, "Prompt PromptLookup Decoding" (2023), and the `ngram` method of vLLM. A guess costs a row of a step,
which is a small part of what a step costs anyway; a right one saves a step. Pure Python: no torch, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Runs of tokens that are looked for, the longest first. A single token says too little of what follows it.
_LONGEST, _SHORTEST = 4, 2
# Guesses in one draft, at most.
_MOST = 10
# What drafting costs, what each row more costs, and a row's look at each token before it; as shares of a step
# of one row after a short prompt (measured: docs/decisions/0031).
_DRAFT_COST, _ROW_COST, _LOOK_COST = 0.12, 0.06, 0.00007
# With more answers in a step than these, what one would gain the others would wait for.
_COMPANY = 4
# Right and wrong guesses that are assumed before there are any; how much of them stays after each draft.
_PRIOR = 2.0
_KEPT = 0.9
# While guesses do not pay, one is tried every so many occasions.
_PAUSE = 8


@dataclass(slots=True)
class PromptLookup:
    """Where each short run of one sequence's tokens stood last, and how guesses from it fared lately.

    A token is read once, whatever the length of the sequence.
    """

    _after: dict[tuple[int, ...], int] = field(default_factory=dict)
    _read: int = 0
    _right: float = _PRIOR
    _wrong: float = _PRIOR
    _passed: int = 0

    def read(self, tokens: list[int], end: int) -> None:
        """Take note of `tokens[:end]`; what was read before is not read again."""
        for at in range(self._read, end):
            for length in range(_SHORTEST, min(_LONGEST, at) + 1):
                self._after[tuple(tokens[at - length : at])] = at
        self._read = max(self._read, end)

    def draft(self, tokens: list[int], at_most: int, generating: int) -> tuple[int, ...]:
        """Guess what follows `tokens`: as many as are likely to pay, none if it is not worth a row.

        generating: sequences that generate in the same step. The more there are, the dearer is a row: it
        holds up all of them.
        """
        self.read(tokens, len(tokens))
        at = self._match(tokens) if generating <= _COMPANY else None
        if at is None:
            return ()
        guesses: list[int] = []
        for place in range(at, at + min(self._length(generating, len(tokens)), at_most)):
            # What comes after the newest token is guessed already: a run that repeats itself goes on.
            guesses.append(tokens[place] if place < len(tokens) else guesses[place - len(tokens)])
        return tuple(guesses)

    def judged(self, drafted: int, accepted: int) -> None:
        """Learn how many of a draft's guesses were right before the first wrong one."""
        self._right = _KEPT * self._right + accepted
        self._wrong = _KEPT * self._wrong + (accepted < drafted)

    def _match(self, tokens: list[int]) -> int | None:
        """Where the tokens begin that followed the longest known run that `tokens` end with."""
        for length in range(min(_LONGEST, len(tokens)), _SHORTEST - 1, -1):
            at = self._after.get(tuple(tokens[-length:]))
            if at is not None:
                return at
        return None

    def _length(self, generating: int, context: int) -> int:
        """How many guesses give most tokens for a step's time; if none do, one is tried now and then."""
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
