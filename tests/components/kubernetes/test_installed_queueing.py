"""A cluster's own Kueue and JobSet are looked at first. The API server is one that answers with their definitions."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from components.errors import ClusterError
from components.kubernetes import installed_queueing
from components.kubernetes.installed_queueing import InstalledQueueingProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULES: dict[str, Any] = {
    "items": {"properties": {"onJobFailureReasons": {}, "onJobFailureMessagePatterns": {}}}
}
OLD_RULES: dict[str, Any] = {"items": {"properties": {"onJobFailureReasons": {}}}}


def kueue(*served: str) -> dict[str, Any]:
    versions = [{"name": name, "served": name in served} for name in ("v1alpha1", "v1beta1", "v1beta2")]
    return {"spec": {"versions": versions}}


def jobset(rules: dict[str, Any]) -> dict[str, Any]:
    policy = {"properties": {"failurePolicy": {"properties": {"rules": rules}}}}
    return {
        "spec": {
            "versions": [
                {"name": "v1alpha2", "schema": {"openAPIV3Schema": {"properties": {"spec": policy}}}}
            ]
        }
    }


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Ask a cluster that has these definitions; None: it has none, a number: it refuses with that."""
    monkeypatch.setattr(installed_queueing, "settle_in", lambda: None)
    monkeypatch.setattr(installed_queueing, "_PAUSE_S", 0.01)
    has: dict[str, Any] = {}

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = has[self.path.rpartition("/")[2].partition(".")[0]]
            self.send_response(found if isinstance(found, int) else 404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found or {}).encode())

        def do_POST(self) -> None:
            """Kueue's judgement of an object, asked for by way of the API server."""
            assert self.path.startswith("/apis/kueue.x-k8s.io/v1beta2/resourceflavors?dryRun=All")
            self.rfile.read(int(self.headers["Content-Length"]))
            has["late"] -= 1
            self.send_response(500 if has["late"] >= 0 else 201)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }

    def ask(queues: Any, jobs: Any, late: int = 0) -> None:
        has.update(clusterqueues=queues, jobsets=jobs, late=late)
        InstalledQueueingProvider().create({"kubeconfig": json.dumps(kubeconfig)})

    yield ask
    server.shutdown()
    thread.join()
    server.server_close()


def test_versions_that_are_new_enough_are_told_nothing(check: Callable[..., None]) -> None:
    check(kueue("v1beta1", "v1beta2"), jobset(RULES))


def test_kueue_that_answers_a_moment_later_is_waited_for(check: Callable[..., None]) -> None:
    check(kueue("v1beta2"), jobset(RULES), late=3)


def test_kueue_that_does_not_answer_at_all_is_named(
    check: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed_queueing, "_PATIENCE_S", 0.05)
    with pytest.raises(
        ClusterError, match=r"the cluster does not answer: 500 .*, when asked to have Kueue judge a"
    ):
        check(kueue("v1beta2"), jobset(RULES), late=10_000)


@pytest.mark.parametrize(
    ("queues", "jobs", "said"),
    [
        (
            None,
            jobset(RULES),
            "Kueue is not in the cluster: install 0.15 or later, or set cloud:queueing to install",
        ),
        (
            kueue("v1beta1"),
            jobset(RULES),
            r"Kueue in the cluster serves v1beta1, and v1beta2 came with 0\.15",
        ),
        (kueue("v1beta2"), None, r"JobSet is not in the cluster: install 0\.10 or later"),
        (kueue("v1beta2"), jobset(OLD_RULES), r"JobSet in the cluster .* which came with 0\.10: upgrade it"),
        (None, None, r"Kueue is not in the cluster.*; JobSet is not in the cluster"),
        (500, jobset(RULES), "the cluster does not answer: 500"),
    ],
)
def test_what_is_missing_or_too_old_is_one_line_with_the_remedy(
    queues: Any, jobs: Any, said: str, check: Callable[..., None]
) -> None:
    with pytest.raises(ClusterError, match=said):
        check(queues, jobs)


def test_who_may_not_look_is_warned_and_goes_on(
    check: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    check(403, 403)
    assert "Kueue and JobSet were not checked: the cluster denies access" in capsys.readouterr().err
