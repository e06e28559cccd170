"""A job that begins again and again at the same step ends for good, and says what was seen."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.cloud.bucket import Bucket
from scenario_model.errors import Refused, TemporaryError
from scenario_model.job.attempts import Attempts
from scenario_model.signing import keys
from tests.model.job.conftest import BUCKET, make_bucket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.job.conftest import Job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NEVER = 1000


@pytest.fixture
def new_attempt(aws_api: Any, tmp_path: Path) -> Callable[[], Attempts]:
    """The next attempt at a job of its own."""
    make_bucket()
    keys.create_pair(tmp_path / "key.pem", tmp_path / "public.pem")
    bucket = Bucket(f"s3://{BUCKET}/{tmp_path.name}")
    return lambda: Attempts(bucket, keys.load_private(tmp_path / "key.pem"), "checkpoints/1")


def ends(attempt: Attempts, error: BaseException) -> None:
    with pytest.raises(type(error)), attempt.watched():
        raise error


def test_after_three_attempts_that_saved_nothing_there_is_no_fourth(
    new_attempt: Callable[[], Attempts],
) -> None:
    assert [new_attempt().begin(40) for _ in range(3)] == [0, 10, 20]
    with pytest.raises(Refused) as refused:
        new_attempt().begin(40)
    assert str(refused.value).startswith(
        "training: 3 attempts in a row went on after step 40 and saved nothing new; the last one left no word, as one "
        "that is killed for want of memory (exit code 137); give its pods more memory, lower recipe.micro_batch"
    )
    assert new_attempt().begin(40) == 0, "who starts it again after that has changed something"


def test_a_step_further_counts_anew(new_attempt: Callable[[], Attempts]) -> None:
    assert [new_attempt().begin(step) for step in (0, 0, 10, 10, 10, 20)] == [0, 10, 0, 10, 20, 0]


def test_an_attempt_that_is_told_to_stop_does_not_count(new_attempt: Callable[[], Attempts]) -> None:
    for _ in range(5):
        attempt = new_attempt()
        assert attempt.begin(40) == 0
        ends(attempt, SystemExit(75))
    attempt = new_attempt()
    assert attempt.begin(40) == 0
    attempt.excuse()
    ends(attempt, TemporaryError("stopped by SIGTERM after step 41, which is saved"))
    assert new_attempt().begin(40) == 0


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            TemporaryError("a host was lost", where="node-7"),
            "the last one ended with: node-7: a host was lost",
        ),
        (RuntimeError("out of\nmemory"), "the last one ended with: RuntimeError: out of memory"),
    ],
)
def test_how_the_last_one_ended_is_said(
    error: Exception, words: str, new_attempt: Callable[[], Attempts]
) -> None:
    for _ in range(3):
        attempt = new_attempt()
        attempt.begin(0)
        ends(attempt, error)
    with pytest.raises(Refused, match=words):
        new_attempt().begin(0)


def test_what_ends_before_all_are_there_is_not_noted(new_attempt: Callable[[], Attempts]) -> None:
    for _ in range(5):
        ends(new_attempt(), TemporaryError("the bucket does not answer"))
    assert new_attempt().begin(0) == 0


def test_a_count_that_somebody_else_wrote_is_skipped(
    new_attempt: Callable[[], Attempts], s3: Any, tmp_path: Path
) -> None:
    for _ in range(3):
        new_attempt().begin(0)
    there = {"Bucket": BUCKET, "Key": f"{tmp_path.name}/attempts.json"}
    told = json.loads(s3.get_object(**there)["Body"].read())
    s3.put_object(**there, Body=json.dumps({**told, "step": 10}).encode())
    assert new_attempt().begin(10) == 0


def counted(job: Job, s3: Any) -> dict[str, Any]:
    """What a job has noted of its attempts."""
    (key,) = [key for key in job.objects(s3) if key.endswith("/attempts.json")]
    prefix = job.store.removeprefix(f"s3://{BUCKET}/")
    told: dict[str, Any] = json.loads(s3.get_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["Body"].read())
    del told["signature"]
    return told


def test_a_job_killed_in_training_three_times_at_one_step_ends_with_1(
    new_job: Callable[[str], Job], s3: Any, tmp_path: Path
) -> None:
    job = new_job("fruitless")
    recipe = {**job.settings["recipe"], "checkpoint_every_steps": NEVER}
    assert job.interrupt(signal.SIGKILL, lambda: len(job.steps) >= 3, recipe=recipe) == -signal.SIGKILL
    assert counted(job, s3) == {"step": 0, "attempts": 1, "ended": ""}
    (run,) = [event["run"].removeprefix("sha256:") for event in job.events if event.get("event") == "begun"]
    place = f"checkpoints/{run}"
    for _ in range(2):  # two more that are killed
        Attempts(Bucket(f"{job.store}/{place}"), keys.load_private(job.private), place).begin(0)
    assert job.run(recipe=recipe, scratch=str(tmp_path / "scratch")) == 1, job.said
    assert job.events[-1]["event"] == "refused"
    assert "3 attempts in a row went on after step 0 and saved nothing new" in job.events[-1]["reasons"][0]
    assert job.steps == []


def test_a_preempted_job_is_not_counted_and_goes_on_at_once(new_job: Callable[[str], Job], s3: Any) -> None:
    job = new_job("preempted")
    recipe = {**job.settings["recipe"], "checkpoint_every_steps": NEVER}
    assert job.interrupt(signal.SIGTERM, lambda: len(job.steps) >= 3, recipe=recipe) == 75, job.said
    last = job.steps[-1]
    assert counted(job, s3) == {"step": 0, "attempts": 0, "ended": ""}
    assert job.run(recipe=recipe) == 0, job.said
    assert job.steps[0] == last + 1
    assert "waiting" not in job.said
    assert not [key for key in job.objects(s3) if key.startswith("checkpoints/")]
