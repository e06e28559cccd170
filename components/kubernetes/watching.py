"""Watches a job until it has ended, and says meanwhile where it stands."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from components.errors import ClusterError
from components.kubernetes import status_text as words
from components.kubernetes.access import NoAnswerError

if TYPE_CHECKING:
    from components.kubernetes.access import Reader

_SLOWEST_S = 5.0
_SILENCE_S = 600.0
"""How long a cluster may not answer before a watch gives up; the job itself goes on."""
_LINES = 200


@dataclass(slots=True)
class Watch:
    """One job, watched.

    Attributes:
        reader: what reads it.
        queue_timeout_s: how long it may wait for quota, nodes or its image, in seconds.

    """

    reader: Reader
    queue_timeout_s: float
    _result: dict[str, Any] | None = None
    _failures: dict[int, str] = field(default_factory=dict)
    _restarts: int = 0
    _read: dict[str, str] = field(default_factory=dict)
    _said: str = ""

    def until_ended(self) -> dict[str, Any]:
        """Wait for the job's end; return the result that it told of.

        Raises:
            ClusterError: it failed, was refused by its gate, waited too long, or is not there.

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
                    self._refuse(f"{waits}; gave up after {self.queue_timeout_s:.0f} s, and it waits on")
            except NoAnswerError as error:
                self._say(f"the cluster does not answer, trying on: {error}")
                if now - heard > _SILENCE_S:
                    self._refuse(f"the cluster has not answered for {_SILENCE_S:.0f} s: {error}")
            # Short at first, so that a job that is done is found so; a day long it need not be.
            time.sleep(min(_SLOWEST_S, 0.5 + (now - begun) / 60))

    def once(self) -> dict[str, Any] | None:
        """Look once; return the result, None while there is none or the job is gone.

        Raises:
            ClusterError: the job failed.

        """
        job_set = self.reader.job_set()
        return self._ended(job_set) if job_set else None

    def _required(self) -> dict[str, Any]:
        job_set = self.reader.job_set()
        if job_set is None:
            self._refuse("it is not in the cluster; pulumi refresh, then pulumi up, makes it again")
        return job_set

    def _ended(self, job_set: dict[str, Any]) -> dict[str, Any] | None:
        """Return the result of a job that has ended well; None of one that goes on."""
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
            self._refuse(f"it failed: {why}; once that is mended: {self._again()}")
        if not result:
            self._refuse(
                "it ended well, but the log that names its release is gone with its pod; the store has it: "
                f"{self._again()} runs it again, which only tells of it"
            )
        return result

    def _look(self, job_set: dict[str, Any]) -> str:
        """Say where the job stands; return what it waits for, empty while it runs."""
        pods = self.reader.pods()
        self._note_endings(pods)
        restarts = int((job_set.get("status") or {}).get("restarts") or 0)
        if restarts > self._restarts:
            why = self._failures.get(restarts - 1, "")
            self._say(f"started again, for the {_th(restarts)} time{why and f': {why}'}")
            self._restarts = restarts
        self._listen(pods)
        queued = words.why_queued(self.reader.workload(job_set["metadata"]["uid"]))
        waits = queued or (words.why_pending(pods) if pods else words.why_no_pods(self.reader.refused()))
        if waits:
            self._say(waits)
        return waits

    def _note_endings(self, pods: list[dict[str, Any]]) -> None:
        """Keep how a pod of each attempt ended first: the others ended because of it."""
        for pod in sorted(pods, key=words.ended_at):
            if how := words.ending(pod):
                self._failures.setdefault(words.attempt(pod), how)

    def _listen(self, pods: list[dict[str, Any]]) -> None:
        """Take in what the leader wrote since the last time."""
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
        """Tell a line, once in a row; Pulumi shows what a provider writes on standard error."""
        if line != self._said:
            self._said = line
            print(f"{self.reader.job}: {line}", file=sys.stderr, flush=True)


def _th(number: int) -> str:
    special = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else special.get(number % 10, 'th')}"
