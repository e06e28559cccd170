"""What a watch makes of what the cluster and the training say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.kubernetes import status_text as words


def with_conditions(**conditions: tuple[str, str]) -> dict[str, Any]:
    listed = [
        {"type": kind, "status": status, "message": message} for kind, (status, message) in conditions.items()
    ]
    return {"status": {"conditions": listed}}


def pod(name: str = "sft-0", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def test_a_queued_job_waits_with_the_queues_own_reason() -> None:
    why = "couldn't assign flavors to pod set workers:\n insufficient unused quota for cpu in flavor a"
    workload = with_conditions(QuotaReserved=("False", why))
    assert words.why_queued(workload) == (
        "waits in the queue: couldn't assign flavors to pod set workers: insufficient unused quota for cpu "
        "in flavor a"
    )
    assert words.why_queued(None) == "waits for its queue to notice it"
    assert words.why_queued(with_conditions()) == "waits in the queue"


def test_an_admitted_job_waits_for_nothing() -> None:
    assert words.why_queued(with_conditions(QuotaReserved=("True", ""), Admitted=("True", "ok"))) == ""


def test_a_pod_that_does_not_start_says_why() -> None:
    unscheduled = pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}])
    assert words.why_pending([unscheduled]) == "pod sft-0 has no node: 0/1 nodes"
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    pulling = pod(containerStatuses=[{"state": {"waiting": waiting}}])
    assert words.why_pending([pulling]) == "pod sft-0 does not start: ImagePullBackOff: no such image"


def test_a_pod_that_starts_or_runs_says_nothing() -> None:
    creating = pod(containerStatuses=[{"state": {"waiting": {"reason": "ContainerCreating"}}}])
    running = pod(containerStatuses=[{"state": {"running": {}}}])
    assert words.why_pending([creating, running]) == ""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, ""),
        (2, " (invalid configuration)"),
        (75, " (retryable)"),
        (143, " (terminated)"),
        (9, ""),
    ],
)
def test_a_pods_end_is_told_with_its_code_and_last_line(code: int, expected: str) -> None:
    ended = {"exitCode": code, "message": "first\nlast words\n\n"}
    told = words.ending(pod(containerStatuses=[{"state": {"terminated": ended}}]))
    assert told == (f"pod sft-0 ended with {code}{expected}: last words" if code else "")


def test_an_evicted_pod_that_never_ran_is_told_too() -> None:
    assert words.ending(pod(phase="Failed", reason="Evicted")) == "pod sft-0 failed: Evicted"


def test_the_leader_is_the_newest_pod_with_index_zero() -> None:
    index = "batch.kubernetes.io/job-completion-index"
    pods = [
        {"metadata": {"name": name, "labels": {index: number}, "creationTimestamp": made}}
        for name, number, made in (
            ("old", "0", "2026-11-25T10:00:00Z"),
            ("new", "0", "2026-11-25T10:05:00Z"),
            ("peer", "1", "2026-11-25T10:06:00Z"),
        )
    ]
    found = words.leader(pods)
    assert found
    assert found["metadata"]["name"] == "new"
    assert words.leader([]) is None


def test_progress_is_the_last_step_that_was_told_between_other_lines() -> None:
    figures = {"of": 120, "loss": 2.0, "tokens_per_s": 12345.6, "seconds_left": 65.2}
    lines = ["INFO starting", *(json.dumps({"step": step, **figures}) for step in (1, 40)), "{broken", "[]"]
    assert words.progress(lines) == "step 40/120  loss 2.000  12,346 tokens/s  1:05 left"
    assert words.progress(["nothing", '{"step": "x"}']) == ""


def test_the_result_is_the_last_one_that_was_told() -> None:
    lines = ['{"event": "saved"}', '{"event": "refused", "reasons": []}', '{"event": "released"}', "{}"]
    assert words.result(lines) == {"event": "released"}
    assert words.result(lines[:1]) is None


def test_who_ended_first_is_told_from_those_who_ended_because_of_it() -> None:
    def ended(at: str) -> dict[str, Any]:
        return pod(containerStatuses=[{"state": {"terminated": {"finishedAt": at}}}])

    early, late = ended("2026-11-25T10:00:00Z"), ended("2026-11-25T10:00:09Z")
    assert sorted([late, pod(), early], key=words.ended_at) == [early, late, pod()]


def test_an_evaluation_says_how_far_it_is_too() -> None:
    step = '{"step": 8, "of": 8, "loss": 2.5}'
    scoring = '{"event": "evaluating", "doing": "scoring the parent", "share": 0.224}'
    assert words.progress([step, scoring]) == "scoring the parent: 22%"
    assert words.progress([scoring, step]).startswith("step 8/8")
