"""A job from its settings to its outcome. Under torchrun every process calls it; the leader releases."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from scenario_model import atomic_io, logs
from scenario_model.cloud.bucket import Bucket
from scenario_model.errors import Refused, TemporaryError
from scenario_model.evaluate.run import EVALUATION
from scenario_model.job.attempts import Attempts
from scenario_model.job.checkpoints import BucketCheckpoints
from scenario_model.job.inputs import data_here, foundation_here
from scenario_model.job.record import Record, job_digest
from scenario_model.job.room import (
    require_room_for_inputs,
    require_room_to_evaluate,
    require_room_to_train,
)
from scenario_model.release import channel as channels
from scenario_model.release.names import ReleaseId
from scenario_model.release.sign import sign_run
from scenario_model.release.stores import open_store
from scenario_model.signing.keys import SigningKey, signing_key
from scenario_model.train.plan import Plan, make_plan
from scenario_model.train.settings import TrainSettings

if TYPE_CHECKING:
    from scenario_model.job.settings import JobSettings
    from scenario_model.release.store import Store

RELEASED, REFUSED = "released", "refused"
_SECONDS_BETWEEN_LINES = 5.0


class Job:
    """One job: its plan, digest, and records in the bucket."""

    def __init__(self, settings: JobSettings) -> None:
        """Fetch the inputs and name the job. Raises InputError, Refused and TemporaryError."""
        self.settings = settings
        self.processes = int(os.environ.get("WORLD_SIZE", "1"))
        self.leads = os.environ.get("RANK", "0") == "0"
        self._bucket = Bucket(settings.store)
        self._key: SigningKey = signing_key(settings.signing_key)
        if self.leads:
            self._bucket.check(to_write=True)
            self._require_own_channel()
            require_room_for_inputs(settings)
        foundation = foundation_here(settings)
        train = TrainSettings(
            foundation=foundation,
            runs=settings.scratch / "runs",
            data=data_here(settings),
            recipe=settings.recipe,
        )
        self.plan: Plan = make_plan(train, self.processes)
        self.digest = job_digest(self.plan.digest, settings)
        self.record = Record(self._bucket, self.digest, self._key)

    def _require_own_channel(self) -> None:
        """Refuse a channel of another key: after the training it would be refused all the same."""
        wanted = self.settings.release
        try:
            channels.history(self._store(), wanted.name, wanted.channel, self._key.public_key())
        except Refused as refusal:
            remedy = "sign with the key that signed it, or choose another release.name and release.channel"
            message = f"channel {wanted.channel} of {wanted.name} is not signed by this job's key: {refusal}"
            raise Refused(message, remedy=remedy) from None

    def outcome(self) -> dict[str, Any] | None:
        """The outcome of an earlier attempt, if it finished and its release still exists."""
        outcome = self.record.read("outcome")
        if outcome is None:
            return None
        release = ReleaseId.parse(outcome["release"])
        if release.key.rpartition("/")[2] not in self._store().children(f"releases/{release.name}"):
            remedy = "remove the outcome to train again"
            where = f"{self._bucket.uri}/{self.record.place}/outcome.json"
            raise Refused(f"its release {release} is no longer in the store", where=where, remedy=remedy)
        return outcome

    def run(self) -> dict[str, Any] | None:
        """Train, and on the leader evaluate, sign, upload and promote; returns the outcome, None elsewhere.

        Raises TemporaryError if it was stopped and can resume, Refused if attempts before it came no further.
        """
        if not self.leads:
            self._train(None)
            return None
        attempts = Attempts(*self._beside_checkpoints())
        with attempts.watched():
            return self._lead(attempts)

    def _lead(self, attempts: Attempts) -> dict[str, Any]:
        result = self._train(attempts)
        # An attempt that ended after its training has recorded the time: the release is then the same.
        noted = self.record.write("result", result)
        if noted["model"] != result["model"]:
            remedy = "its hosts compute differently; remove the record to use this one's"
            where = f"{self._bucket.uri}/{self.record.place}/result.json"
            raise Refused("an earlier attempt of this job trained other weights", where=where, remedy=remedy)
        atomic_io.write_json(self.plan.folder.result, noted)
        outcome = self.record.write("outcome", self._release(noted))
        self._checkpoints().clear()
        return outcome

    def _train(self, attempts: Attempts | None) -> dict[str, Any]:
        """Train; `attempts` in the leader."""
        from scenario_model.train.hooks import TrainingHooks
        from scenario_model.train.loop import StoppedError, TimeIsUpError
        from scenario_model.train.run import record_run, train

        deadline = self.settings.deadline
        copies = self._checkpoints() if attempts else None
        if copies and self.plan.folder.state != "done":
            require_room_to_train(self.settings, self.plan.settings.foundation)
            require_room_to_evaluate(self.plan.settings.foundation)
            with atomic_io.disk_errors(self.plan.folder.root):
                self.plan.folder.checkpoints.mkdir(parents=True, exist_ok=True)
            copies.bring(self.plan.folder.checkpoints, lambda environment: record_run(self.plan, environment))
        try:
            around = TrainingHooks(
                copies=copies,
                save_before=deadline,
                progress=sys.stdout,
                begins=partial(self._go_on, attempts) if attempts else None,
            )
            result, _ = train(self.plan, hooks=around)
        except StoppedError as stopped:
            if attempts and not isinstance(stopped, TimeIsUpError):
                attempts.excuse()
            raise TemporaryError(str(stopped)) from None
        finally:
            if copies:
                copies.settle()
        return result

    def _go_on(self, attempts: Attempts) -> None:
        """Note that this attempt begins; after others that came no further, wait first. Raises Refused if too many."""
        step = self.plan.folder.step
        wait_s = attempts.begin(step)
        if wait_s:
            logs.say(f"an attempt before this one came no further than step {step}: waiting {wait_s:.0f} s")
            time.sleep(wait_s)

    def _release(self, result: dict[str, Any]) -> dict[str, Any]:
        from scenario_model.evaluate.gate import evaluate_run

        directory, wanted = self.plan.folder.root, self.settings.release
        # Recorded as well: scores depend on the number format that is faster here.
        evaluation = self.record.read("evaluation")
        if evaluation is None:
            evaluation, _ = evaluate_run(directory, self.settings.gate, _Progress())
            evaluation = self.record.write("evaluation", evaluation)
        atomic_io.write_json(directory / EVALUATION, evaluation)
        store = self._store()
        signed = sign_run(directory, wanted.name, store, self._key)
        if signed.passed:
            channels.promote(store, signed.release, wanted.channel, self._key, **channels.stamp())
        return {
            "event": RELEASED if signed.passed else REFUSED,
            "release": signed.release,
            "channel": wanted.channel,
            "passed": signed.passed,
            "reasons": evaluation["reasons"],
            "evaluation": evaluation,
            "model": result["model"],
            "tokens": result["tokens"],
            "seconds": result["seconds"],
            "run": self.digest,
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _store(self) -> Store:
        return open_store(self.settings.store, self.settings.scratch / "releases")

    def _checkpoints(self) -> BucketCheckpoints:
        return BucketCheckpoints(*self._beside_checkpoints())

    def _beside_checkpoints(self) -> tuple[Bucket, SigningKey, str]:
        # Separate from the records: these may be deleted, and expire.
        place = f"checkpoints/{self.digest.removeprefix('sha256:')}"
        return self._bucket.below(place), self._key, place


class _Progress:
    """Print an occasional JSON line on standard output."""

    def __init__(self) -> None:
        self._said = ("", 0.0)

    def __call__(self, what: str, share: float) -> None:
        now = time.monotonic()
        if what != self._said[0] or now - self._said[1] >= _SECONDS_BETWEEN_LINES or share == 1:
            self._said = (what, now)
            print(json.dumps({"event": "evaluating", "doing": what, "share": round(share, 3)}), flush=True)
