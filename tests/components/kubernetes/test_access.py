"""A cluster's API is read without a key on disk, and what it answers is told apart."""

from __future__ import annotations

import base64
import http.server
import json
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import pytest

from components.credentials import CertificateAuthorityProvider, ServerCertificateProvider
from components.errors import ClusterError
from components.kubernetes.access import NoAnswerError, connected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Api:
    """An API server's address, and what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status, self.body = 200, "{}"
        self.asked: list[str] = []


@pytest.fixture
def api() -> Iterator[Api]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            self.send_response(told.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(told.body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    told = Api(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def kubeconfig(server: str, **user: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


def test_a_job_and_its_pods_are_read_as_they_are(api: Api) -> None:
    with connected(kubeconfig(api.url), "training", "sft-1") as reader:
        api.body = json.dumps({"metadata": {"uid": "u"}, "new": "field"})
        assert reader.job_set() == {"metadata": {"uid": "u"}, "new": "field"}
        api.body = json.dumps({"items": [{"metadata": {"name": "p"}, "spec": "of a later release"}]})
        assert reader.pods() == [{"metadata": {"name": "p"}, "spec": "of a later release"}]
        assert reader.workload("u")
        api.body = "2026-11-25T10:00:00.1Z step 1\n2026-11-25T10:00:01Z a b\n"
        assert reader.log("p", 10) == [("2026-11-25T10:00:00.1Z", "step 1"), ("2026-11-25T10:00:01Z", "a b")]
    assert api.asked[0] == "/apis/jobset.x-k8s.io/v1alpha2/namespaces/training/jobsets/sft-1"


def test_only_events_of_this_job_that_tell_what_could_not_be_made_are_read(api: Api) -> None:
    def event(name: str, reason: str) -> dict[str, Any]:
        return {"involvedObject": {"name": name}, "reason": reason, "message": name}

    told = [event("sft-1-workers-0", "FailedCreate"), event("sft-1", "JobCreationFailed")]
    others = [event("sft-10", "JobCreationFailed"), event("sft-1-workers-0", "BackoffLimitExceeded")]
    with connected(kubeconfig(api.url), "training", "sft-1") as reader:
        api.body = json.dumps({"items": [*told, *others]})
        assert reader.refused() == told
        api.status = 403
        assert reader.refused() == [], "a run needs no right to read events"


def test_what_is_not_there_is_nothing_and_what_is_refused_names_the_remedy(api: Api) -> None:
    with connected(kubeconfig(api.url), "training", "sft-1") as reader:
        api.status = 404
        assert reader.job_set() is None
        assert reader.log("p", 10) == []
        api.status = 403
        with pytest.raises(ClusterError, match=r"denies access to the job \(403 Forbidden\); allow"):
            reader.pods()
        api.status = 503
        with pytest.raises(NoAnswerError, match="503"):
            reader.job_set()


def test_a_server_that_is_not_there_may_be_there_the_next_time() -> None:
    with (
        connected(kubeconfig("http://127.0.0.1:9"), "training", "sft-1") as reader,
        pytest.raises(NoAnswerError),
    ):
        reader.job_set()


@pytest.mark.parametrize("text", ["", "just words", "a: [", "kind: Config"])
def test_what_is_no_kubeconfig_is_said_in_one_line_that_quotes_nothing(text: str) -> None:
    with (
        pytest.raises(ClusterError, match="invalid kubeconfig: ") as told,
        connected(text, "training", "sft-1"),
    ):
        pass
    assert "\n" not in str(told.value)
    assert "just words" not in str(told.value)


def test_a_key_is_used_without_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = dict(
        CertificateAuthorityProvider().create({"common_name": "a", "valid_until": "2046-01-01"}).outs or {}
    )
    inputs = {
        "names": ["me"],
        "valid_until": "2046-01-01",
        "authority_certificate": authority["certificate"],
        "authority_key": authority["private_key"],
    }
    own = dict(ServerCertificateProvider().create(inputs).outs or {})
    encoded = {
        f"client-{name}-data": base64.b64encode(own[kind].encode()).decode()
        for name, kind in (("certificate", "certificate"), ("key", "private_key"))
    }
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with (
        connected(kubeconfig("https://127.0.0.1:9", **encoded), "training", "sft-1") as reader,
        pytest.raises(NoAnswerError, match="refused"),
    ):
        reader.job_set()  # both were read: a key that does not fit would be an error of its own
    assert list(tmp_path.iterdir()) == []
