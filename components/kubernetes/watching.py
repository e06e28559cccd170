"""Watches a job until it ends, and reports its state."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from components.errors import ClusterError
from components.kubernetes import status_text as words
from components.kubernetes.access import CredentialsError, NoAnswerError

if TYPE_CHECKING:
    from components.kubernetes.access import Reader

_SLOWEST_S = 5.0
_SILENCE_S = 600.0
"""How long a cluster may be out of reach, or refuse the credentials, before the watch gives up."""
_LINES = 200


@dataclass(slots=True)
class Watch:
    """One job, watched.

    Attributes:
        reader: reads its state.
        queue_timeout_s: maximum wait for quota, nodes or its image, in seconds.

    """

    reader: Reader
    queue_timeout_s: float
    _result: dict[str, Any] | None = None
    _failures: dict[int, str] = field(default_factory=dict)
    _restarts: int = 0
    _read: dict[str, str] = field(default_factory=dict)
    _said: str = ""

    def until_ended(self) -> dict[str, Any]:
        """Wait for the job to end; return its result.

        Raises:
            ClusterError: it failed, was refused by its gate, waited too long, or does not exist.

        """
        begun = heard = waiting_since = time.monotonic()
        while True:
            now = time.monotonic()
            try:
                job_set = self._required()
                heard = now
                if (ended := self._ended(job_set)) is not None:
                    return ended
                waits = self._look(job_set)
                waiting_since = waiting_since if waits else now
                if waits and now - waiting_since > self.queue_timeout_s:
                    self._refuse(
                        f"{waits}; gave up after {self.queue_timeout_s:.0f} s; the job itself keeps waiting"
                    )
            except NoAnswerError as error:
                self._wait_for_answer(error, silent=now - heard)
            # Short at first, so that a finished job is noticed at once; longer for one that takes days.
            time.sleep(min(_SLOWEST_S, 0.5 + (now - begun) / 60))

    def once(self) -> dict[str, Any] | None:
        """Poll once; return the result, None if there is none yet or the job is gone.

        Raises:
            ClusterError: the job failed.

        """
        job_set = self.reader.job_set()
        return self._ended(job_set) if job_set else None

    def _required(self) -> dict[str, Any]:
        job_set = self.reader.job_set()
        if job_set is None:
            self._refuse("it is not in the cluster; run pulumi refresh, then pulumi up, to recreate it")
        return job_set

    def _ended(self, job_set: dict[str, Any]) -> dict[str, Any] | None:
        """Return the result of a job that succeeded; None if it is still running."""
        completed, failed = words.holds(job_set, "Completed"), words.holds(job_set, "Failed")
        if not completed and not failed:
            return None
        pods = self.reader.pods()
        self._note_endings(pods)
        self._listen(pods)
        result = self._result or {}
        if result.get("event") == "refused":
            reasons = "; ".join(map(str, result.get("reasons") or ["no reason given"]))
            self._refuse(f"the model is not released: {reasons}")
        if failed:
            last = self._failures.get(max(self._failures, default=0))
            why = last or words.condition(job_set, "Failed").get("message", "no reason given")
            self._refuse(f"it failed: {why}; fix that, then run {self._again()}")
        if not result:
            self._refuse(
                "it succeeded, but the log with its release is gone with its pod; the release is in the store: "
                f"{self._again()} runs the job again, which only reports it"
            )
        return result

    def _wait_for_answer(self, error: NoAnswerError, silent: float) -> None:
        """Say that there is no answer; give up after too many seconds without one."""
        refused = isinstance(error, CredentialsError)
        if silent <= _SILENCE_S:
            now = "refuses the credentials, asking for new ones" if refused else "does not answer, retrying"
            self._say(f"the cluster {now}: {error}")
            return
        before = "refused the credentials" if refused else "not answered"
        remedy = "log in again, or use credentials that last for the whole run; then " if refused else ""
        self._refuse(
            f"the cluster has {before} for {_SILENCE_S:.0f} s: {error}; the job itself continues: "
            f"{remedy}run pulumi up again, which picks it up where it is"
        )

    def _look(self, job_set: dict[str, Any]) -> str:
        """Report the job's state; return what it waits for, empty while it runs."""
        pods = self.reader.pods()
        self._note_endings(pods)
        restarts = int((job_set.get("status") or {}).get("restarts") or 0)
        if restarts > self._restarts:
            why = self._failures.get(restarts - 1, "")
            self._say(f"restarted for the {_th(restarts)} time{why and f': {why}'}")
            self._restarts = restarts
        self._listen(pods)
        queued = words.why_queued(self.reader.workload(job_set["metadata"]["uid"]))
        waits = queued or (words.why_pending(pods) if pods else words.why_no_pods(self.reader.refused()))
        if waits:
            self._say(waits)
        return waits

    def _note_endings(self, pods: list[dict[str, Any]]) -> None:
        """Record the first pod failure of each attempt: the others are its consequence."""
        for pod in sorted(pods, key=words.ended_at):
            if how := words.ending(pod):
                self._failures.setdefault(words.attempt(pod), how)

    def _listen(self, pods: list[dict[str, Any]]) -> None:
        """Read the leader's new log lines."""
        first = words.leader(pods)
        if first is None:
            return
        uid = first["metadata"]["uid"]
        lines = self.reader.log(first["metadata"]["name"], _LINES)
        new = [said for at, said in lines if at > self._read.get(uid, "")]
        if lines:
            self._read = {uid: lines[-1][0]}
        self._result = words.result(new) or self._result
        if shown := words.progress(new):
            self._say(shown)

    def _again(self) -> str:
        return f"pulumi up --replace '**JobSet::{self.reader.job.rpartition('-')[0]}'"

    def _refuse(self, why: str) -> NoReturn:
        raise ClusterError(f"training job {self.reader.job}: {why}")

    def _say(self, line: str) -> None:
        """Print a line unless it repeats the last one; Pulumi shows a provider's standard error."""
        if line != self._said:
            self._said = line
            print(f"{self.reader.job}: {line}", file=sys.stderr, flush=True)


def _th(number: int) -> str:
    special = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else special.get(number % 10, 'th')}"
