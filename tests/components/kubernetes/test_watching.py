"""A watch ends when the job does, in whatever way, and says what a person wants to know meanwhile."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from components.errors import ClusterError
from components.kubernetes.access import NoAnswerError, Reader
from components.kubernetes.watching import Watch

ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
INDEX = "batch.kubernetes.io/job-completion-index"
RELEASED = {"event": "released", "release": "sft@sha256:1f", "passed": True}


@dataclass
class Moment:
    """What a cluster shows at one look."""

    conditions: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    admitted: bool = True
    lines: list[str] = field(default_factory=list)
    ended: int = 0
    silent: bool = False
    gone: bool = False
    refused: str = ""


class Story:
    """Stands in for a cluster: shows one moment after the other, and the last one for ever."""

    job = "sft-1a2b3c"

    def __init__(self, *moments: Moment) -> None:
        self.moments = list(moments)

    def job_set(self) -> dict[str, Any] | None:
        self.now = self.moments.pop(0) if len(self.moments) > 1 else self.moments[0]
        if self.now.silent:
            raise NoAnswerError("connection refused")
        conditions = [
            {"type": kind, "status": "True", "message": message}
            for kind, message in self.now.conditions.items()
        ]
        status = {"conditions": conditions, "restarts": self.now.restarts}
        return None if self.now.gone else {"metadata": {"uid": "u"}, "status": status}

    def workload(self, _uid: str) -> dict[str, Any]:
        kind, status, message = (
            ("Admitted", "True", "") if self.now.admitted else ("QuotaReserved", "False", "no quota")
        )
        return {"status": {"conditions": [{"type": kind, "status": status, "message": message}]}}

    def refused(self) -> list[dict[str, Any]]:
        return [
            {"message": "an older one", "lastTimestamp": "2026-11-25T09:00:00Z"},
            {"message": self.now.refused, "lastTimestamp": "2026-11-25T10:00:00Z"},
        ]

    def pods(self) -> list[dict[str, Any]]:
        if self.now.refused:
            return []
        ended = {"exitCode": self.now.ended, "message": "peers lost"}
        state = {"terminated": ended} if self.now.ended else {"running": {}}
        metadata = {
            "name": "sft-0",
            "uid": f"p{self.now.restarts}",
            "labels": {INDEX: "0", ATTEMPT: str(self.now.restarts)},
        }
        return [{"metadata": metadata, "status": {"containerStatuses": [{"state": state}]}}]

    def log(self, _pod: str, _lines: int) -> list[tuple[str, str]]:
        return [(f"2026-11-25T10:00:{number:02d}Z", line) for number, line in enumerate(self.now.lines)]


def watch(*moments: Moment, queue_timeout_s: float = 60) -> Watch:
    return Watch(cast("Reader", Story(*moments)), queue_timeout_s=queue_timeout_s)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


def step(number: int) -> str:
    return json.dumps({"step": number, "of": 9, "loss": 2.5})


def test_progress_is_shown_once_and_the_result_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    running = Moment(lines=[step(1)])
    done = Moment(conditions={"Completed": ""}, lines=[step(1), step(2), json.dumps(RELEASED)])
    assert watch(running, running, running, done).until_ended() == RELEASED
    shown = capsys.readouterr().err.splitlines()
    assert shown == ["sft-1a2b3c: step 1/9  loss 2.500", "sft-1a2b3c: step 2/9  loss 2.500"]


def test_a_job_that_its_gate_refused_fails_with_the_reasons() -> None:
    said = json.dumps({"event": "refused", "reasons": ["gain 0.01 < 0.02", "worse on general prose"]})
    failed = Moment(conditions={"Failed": "jobset failed"}, lines=[said], ended=1)
    with pytest.raises(ClusterError, match=r"not released: gain 0.01 < 0.02; worse on general prose$"):
        watch(failed).until_ended()


def test_a_job_that_failed_says_how_its_pod_ended_and_how_to_try_again() -> None:
    expected = r"it failed: pod sft-0 ended with 2 \(invalid configuration\): peers lost; .*::sft'$"
    with pytest.raises(ClusterError, match=expected):
        watch(Moment(conditions={"Failed": "jobset failed"}, ended=2)).until_ended()


def test_a_restart_is_told_with_its_reason_and_the_log_begins_anew(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = Moment(lines=[step(1), step(2)])
    lost = Moment(lines=[step(1), step(2)], ended=75)
    again = Moment(restarts=1, lines=[step(2)])
    done = Moment(restarts=1, conditions={"Completed": ""}, lines=[step(2), json.dumps(RELEASED)])
    assert watch(first, lost, again, done).until_ended() == RELEASED
    shown = capsys.readouterr().err
    assert "restarted for the 1st time: pod sft-0 ended with 75 (retryable)" in shown
    assert shown.count("step 2/9") == 2


def test_a_job_that_waits_too_long_for_its_quota_fails_with_the_queues_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    with pytest.raises(ClusterError, match=r"no quota; gave up after 5 s; the job itself keeps waiting$"):
        watch(Moment(admitted=False), queue_timeout_s=5).until_ended()
    assert capsys.readouterr().err == "sft-1a2b3c: waits in the queue: no quota\n", "once"


def test_a_job_whose_pods_cannot_be_made_fails_with_the_clusters_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    with pytest.raises(ClusterError, match="its pods cannot be created: exceeded quota; gave up after 5 s"):
        watch(Moment(refused="exceeded quota"), queue_timeout_s=5).until_ended()


def test_time_that_it_trained_does_not_count_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    trained = [Moment(lines=[step(each)] * each) for each in range(20)]
    done = Moment(conditions={"Completed": ""}, lines=[step(1)] * 20 + [json.dumps(RELEASED)])
    preempted = Moment(admitted=False)
    assert watch(*trained, preempted, preempted, done, queue_timeout_s=5).until_ended() == RELEASED


def test_a_cluster_that_does_not_answer_for_a_while_is_waited_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = Moment(conditions={"Completed": ""}, lines=[json.dumps(RELEASED)])
    assert watch(Moment(silent=True), Moment(silent=True), done).until_ended() == RELEASED
    assert "the cluster does not answer, retrying: connection refused" in capsys.readouterr().err


def test_a_cluster_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(0, 100_000, 60))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(seconds)))
    with pytest.raises(
        ClusterError,
        match="has not answered for 600 s: connection refused; the job itself continues: run pulumi up again",
    ):
        watch(Moment(silent=True)).until_ended()


def test_a_job_that_is_not_there_is_said_with_the_way_back() -> None:
    with pytest.raises(ClusterError, match="not in the cluster; run pulumi refresh, then pulumi up"):
        watch(Moment(gone=True)).until_ended()


def test_a_job_that_ended_well_but_whose_log_is_gone_is_no_release() -> None:
    with pytest.raises(ClusterError, match="the log with its release is gone"):
        watch(Moment(conditions={"Completed": ""})).until_ended()


def test_one_look_does_not_wait() -> None:
    assert watch(Moment()).once() is None
    assert watch(Moment(gone=True)).once() is None
    done = Moment(conditions={"Completed": ""}, lines=[json.dumps(RELEASED)])
    assert watch(done).once() == RELEASED
