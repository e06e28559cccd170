"""From Ansible's events to what a user reads."""

from __future__ import annotations

from typing import Any

import pytest

from components.ansible.events import Report
from components.errors import PremisesError


def event(kind: str, host: str = "h1", task: str = "Do it", **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": {"host": host, "task": task, **data}}


def stats(**data: Any) -> dict[str, Any]:
    return {"event": "playbook_on_stats", "event_data": {"processed": {"h1": 1, "h2": 1}, **data}}


def report_of(*events: dict[str, Any], secrets: tuple[str, ...] = ()) -> Report:
    report = Report(playbook="play.yml", secrets=secrets)
    for each in events:
        assert report.take(each) is False
    return report


def failure(*events: dict[str, Any], secrets: tuple[str, ...] = ()) -> str:
    with pytest.raises(PremisesError) as error:
        report_of(*events, secrets=secrets).raise_for_failure()
    return str(error.value)


def test_changes_are_counted_by_host_and_results_are_kept() -> None:
    changed = event("runner_on_ok", res={"changed": True, "dest": "/etc/x"}, role="web")
    report = report_of(changed, stats(changed={"h1": 1}, artifact_data={"result": {"a": 1}}))
    report.raise_for_failure()
    assert report.changes == {"h1": 1, "h2": 0}
    assert report.changed_tasks == {"h1": ["web : Do it (/etc/x)"]}
    assert report.results == {"result": {"a": 1}}


def test_every_file_that_a_task_changes_is_named() -> None:
    diffs = [{"after_header": name, "before": "a", "after": "b"} for name in ("/etc/x", "/etc/y")]
    changed = event("runner_on_ok", res={"changed": True, "diff": diffs}, role="web")
    report = report_of(changed, stats(changed={"h1": 1}))
    assert report.changed_tasks == {"h1": ["web : Do it (/etc/x, /etc/y)"]}


def test_failed_and_unreachable_hosts_are_named_with_their_last_words() -> None:
    said = failure(
        event("runner_on_failed", res={"msg": "no\nspace"}),
        event("runner_on_unreachable", host="h2", task="Gather", res={"msg": "timed out"}),
        stats(failures={"h1": 1}, dark={"h2": 1}),
    )
    assert said == "play.yml: h1 failed: Do it: no space; h2 cannot be reached: Gather: timed out"


def test_a_rescued_failure_is_none() -> None:
    report_of(event("runner_on_failed", res={"msg": "rescued"}), stats(failures={})).raise_for_failure()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            {"msg": "non-zero return code", "stderr": "a\nfile not found\n"},
            "non-zero return code: file not found",
        ),
        ({"msg": "x", "results": [{"failed": False}, {"failed": True, "msg": "item 2"}]}, "item 2"),
        ({"censored": "hidden", "msg": "hunter2"}, "its output is hidden because it may contain a secret"),
        ({"_ansible_no_log": True, "msg": "x"}, "its output is hidden because it may contain a secret"),
        ({}, "no message"),
    ],
)
def test_the_reason_is_what_the_task_said_last(result: dict[str, Any], words: str) -> None:
    assert failure(event("runner_on_failed", res=result), stats(failures={"h1": 1})).endswith(
        f"Do it: {words}"
    )


def test_no_secret_is_in_a_reason_not_even_a_line_of_one() -> None:
    secret = "first-line-0123456789\nsecond-line-0123456789"
    failed = event("runner_on_failed", res={"msg": "cannot parse second-line-0123456789"})
    assert "second-line" not in failure(failed, stats(failures={"h1": 1}), secrets=(secret,))


def test_a_playbook_that_cannot_start_says_why() -> None:
    broken = {"event": "verbose", "stdout": "[ERROR]: the role 'x' was not found\nOrigin: y"}
    assert failure(broken) == "play.yml: [ERROR]: the role 'x' was not found Origin: y"
    assert "did not finish" in failure()


def test_a_playbook_without_hosts_is_a_failure_not_a_success() -> None:
    assert "no host of the inventory" in failure({"event": "playbook_on_stats", "event_data": {}})


def test_progress_is_shown_once_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    step = event("runner_retry", res={"progress": "step 1/3 with hunter2-hunter2", "stdout": "noise"})
    waiting = event("runner_retry", res={"msg": "Connection refused"}, task="Wait for it")
    report_of(step, step, waiting, stats(), secrets=("hunter2-hunter2",))
    assert capsys.readouterr().err.splitlines() == ["h1: step 1/3 with …", "h1: Wait for it: not yet"]
