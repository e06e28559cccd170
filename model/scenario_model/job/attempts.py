"""Attempts at a job that begin at the same step: kept beside its checkpoints, so that each one knows of those before.

Whatever starts a job again, such as JobSet, knows exit codes only: it would start one that runs out of memory for ever.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from scenario_model import logs
from scenario_model.errors import Refused, ScenarioModelError
from scenario_model.job.signed_json import sign_json, verify_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scenario_model.cloud.bucket import Bucket
    from scenario_model.signing.keys import SigningKey

_NAME = "attempts.json"
_MOST_BYTES = 64 * 1024
_MOST = 3
_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 300.0
_LONGEST_WORDS = 300
_KILLED = "the last one left no word, as one that is killed for want of memory (exit code 137)"
_REMEDY = (
    "give its pods more memory, lower recipe.micro_batch, recipe.sequence_length or recipe.checkpoint_every_steps, or "
    "take the node away that it names; then start it again"
)


class Attempts:
    """The attempts at one job, noted in `bucket` by its leader. `place`: the key that its signature covers."""

    def __init__(self, bucket: Bucket, key: SigningKey, place: str) -> None:
        self._bucket, self._key, self._place = bucket, key, f"{place}/{_NAME}"
        self._noted: dict[str, Any] | None = None

    def begin(self, step: int) -> float:
        """Note that all processes are there and go on after `step`; returns the seconds to wait before.

        Raises Refused after too many attempts that came no further. Whoever starts the job again after that has
        changed something: it counts anew.
        """
        before = self._read()
        fruitless = before["attempts"] if before and before["step"] == step else 0
        if before and fruitless >= _MOST:
            self._write({"step": step, "attempts": 0, "ended": ""})
            how = f"the last one ended with: {before['ended']}" if before["ended"] else _KILLED
            raise Refused(
                f"{fruitless} attempts in a row went on after step {step} and saved nothing new; {how}",
                where="training",
                remedy=_REMEDY,
            )
        self._noted = {"step": step, "attempts": fruitless + 1, "ended": ""}
        self._write(self._noted)
        return min(_FIRST_WAIT_S * 2.0 ** (fruitless - 1), _LONGEST_WAIT_S) if fruitless else 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note how the attempt ends. One that is told to stop (SystemExit, as on SIGTERM) does not count."""
        try:
            yield
        except SystemExit:
            self.excuse()
            raise
        except Exception as error:
            words = (
                str(error) if isinstance(error, ScenarioModelError) else f"{type(error).__name__}: {error}"
            )
            self._note(ended=" ".join(words.split())[:_LONGEST_WORDS])
            raise

    def excuse(self) -> None:
        """Do not count this attempt: it was told to stop."""
        self._note(attempts=-1)

    def _note(self, *, attempts: int = 0, ended: str = "") -> None:
        noted, self._noted = self._noted, None
        if noted is None:
            return
        try:
            self._write({**noted, "attempts": noted["attempts"] + attempts, "ended": ended})
        except ScenarioModelError as error:  # the attempt's own end is what matters
            logs.say(f"not noted how this attempt ended: {error}")

    def _read(self) -> dict[str, Any] | None:
        where = f"{self._bucket.uri}/{_NAME}"
        try:
            sealed = self._bucket.read(_NAME, _MOST_BYTES)
            return None if sealed is None else verify_json(self._key.public_key(), self._place, sealed, where)
        except Refused as refusal:  # a lost count must not end a training
            logs.say(f"skipped: {refusal}")
            return None

    def _write(self, content: dict[str, Any]) -> None:
        self._bucket.put(_NAME, sign_json(self._key, self._place, content))
