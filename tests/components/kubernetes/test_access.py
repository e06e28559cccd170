"""A cluster's API is read without a key on disk, and what it answers is told apart."""

from __future__ import annotations

import base64
import datetime as dt
import http.server
import json
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from components.credentials import CertificateAuthorityProvider, ServerCertificateProvider
from components.errors import ClusterError
from components.kubernetes import watching
from components.kubernetes.access import CredentialsError, NoAnswerError, connected
from components.kubernetes.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Api:
    """An API server's address, and what it answers."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status, self.body = 200, "{}"
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self.accepts: str | None = None
        """The only token it lets in; None: everybody."""


@pytest.fixture
def api() -> Iterator[Api]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            told.tokens.append(token)
            refused = told.accepts is not None and token != told.accepts
            self.send_response(401 if refused else told.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(told.body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    told = Api(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
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


class Login:
    """A kubeconfig's plugin: a real program that hands out what a file says, or fails without one."""

    def __init__(self, folder: Path) -> None:
        self._answer, self._runs = folder / "answer", folder / "runs"
        self._program = folder / "login.py"
        self._program.write_text(
            "import pathlib, sys\n"
            f"with open({str(self._runs)!r}, 'a') as runs: runs.write('x')\n"
            f"answer = pathlib.Path({str(self._answer)!r})\n"
            "print(answer.read_text()) if answer.exists() else sys.exit('the session\\nhas expired')\n"
        )

    def give(self, token: str, lasts: float | None = None) -> None:
        """Hand out a token from now on, which says that it expires in so many seconds."""
        status = {"token": token}
        if lasts is not None:
            end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=lasts)
            status["expirationTimestamp"] = end.isoformat(timespec="seconds").replace("+00:00", "Z")
        kind = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        self._answer.write_text(json.dumps({**kind, "status": status}))

    def fail(self) -> None:
        self._answer.unlink(missing_ok=True)

    @property
    def runs(self) -> int:
        return len(self._runs.read_text())

    def user(self) -> dict[str, Any]:
        program = {"command": sys.executable, "args": [str(self._program)], "interactiveMode": "Never"}
        return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **program}}


@pytest.fixture
def login(tmp_path: Path) -> Login:
    return Login(tmp_path)


def test_a_log_that_is_not_there_is_empty_and_one_that_cannot_be_read_now_is_read_again(api: Api) -> None:
    with connected(kubeconfig(api.url), "training", "sft-1") as reader:
        for api.status in (400, 404, 403):
            assert reader.log("p", 10) == [], "its container waits, it is gone, or it may not be read"
        for api.status in (500, 503):
            with pytest.raises(NoAnswerError, match=str(api.status)):
                reader.log("p", 10)


def test_refused_credentials_are_replaced_by_new_ones_of_the_plugin(api: Api, login: Login) -> None:
    login.give("first")
    api.accepts = "first"
    with connected(kubeconfig(api.url, **login.user()), "training", "sft-1") as reader:
        assert reader.job_set() == {}
        assert reader.job_set() == {}
        assert login.runs == 1
        login.give("second")
        api.accepts = "second"
        with pytest.raises(CredentialsError, match=r"^401 Unauthorized$"):
            reader.job_set()
        assert reader.job_set() == {}
        assert login.runs == 2
        login.give("third")
        api.accepts = "third"
        with pytest.raises(CredentialsError):
            reader.log("p", 10)  # not an empty log: the result is in it
        assert reader.log("p", 10) == [("{}", "")]


def test_credentials_that_say_when_they_expire_are_renewed_before(api: Api, login: Login) -> None:
    login.give("first", lasts=60)  # the client renews what lasts less than five minutes
    with connected(kubeconfig(api.url, **login.user()), "training", "sft-1") as reader:
        login.give("second", lasts=3600)
        for _ in range(3):
            reader.job_set()
    assert api.tokens == ["second"] * 3
    assert login.runs == 2


def test_a_plugin_that_fails_is_asked_again_and_nobody_asks_without_credentials(
    api: Api, login: Login
) -> None:
    api.accepts = "later"
    with connected(kubeconfig(api.url, **login.user()), "training", "sft-1") as reader:
        for _ in range(2):
            with pytest.raises(CredentialsError, match=r"process returned 1\. the session has expired$"):
                reader.job_set()
        assert reader.refused() == []
        assert api.asked == []
        login.give("later")
        assert reader.job_set() == {}


def test_a_plugin_that_fails_before_its_credentials_expire_is_no_hindrance(
    api: Api, login: Login, capfd: pytest.CaptureFixture[str]
) -> None:
    login.give("first", lasts=60)
    with connected(kubeconfig(api.url, **login.user()), "training", "sft-1") as reader:
        login.fail()
        assert reader.job_set() == {}
    assert api.tokens == ["first"]
    assert capfd.readouterr().err == ""


def test_a_token_in_a_file_is_read_again_once_it_is_refused(api: Api, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    with connected(kubeconfig(api.url, tokenFile=str(file)), "training", "sft-1") as reader:
        file.write_text("second")
        api.accepts = "second"
        with pytest.raises(CredentialsError):
            reader.job_set()
        assert reader.job_set() == {}


def test_a_job_is_watched_to_its_end_though_the_credentials_end_on_the_way(
    api: Api, login: Login, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    login.give("first")
    api.accepts = "first"
    running = {"metadata": {"uid": "u"}, "items": []}
    api.body = json.dumps(running)
    looks = iter(range(100))

    def meanwhile(_: float) -> None:
        """What happens while the watch sleeps: first the session ends, then the user logs in, then the job ends."""
        look = next(looks)
        if look == 2:
            login.fail()
            api.accepts = "second"
        elif look == 6:
            login.give("second")
        elif look == 8:
            ended = {
                "status": {"conditions": [{"type": "Failed", "status": "True", "message": "it is over"}]}
            }
            api.body = json.dumps(running | ended)

    monkeypatch.setattr(time, "sleep", meanwhile)
    with (
        connected(kubeconfig(api.url, **login.user()), "training", "sft-1") as reader,
        pytest.raises(ClusterError, match="it failed: it is over"),
    ):
        Watch(reader, queue_timeout_s=60).until_ended()
    shown = capsys.readouterr().err
    assert "sft-1: the cluster refuses the credentials, asking for new ones: 401 Unauthorized\n" in shown
    assert shown.count("asking for new ones: exec: process returned 1. the session has expired\n") == 1


def test_credentials_that_are_not_renewed_end_the_watch_and_are_named(
    api: Api, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    login.give("first")
    api.accepts = "another"
    monkeypatch.setattr(watching, "_SILENCE_S", 1.0)
    with (
        connected(kubeconfig(api.url, **login.user()), "training", "sft-1") as reader,
        pytest.raises(
            ClusterError,
            match=r"refused the credentials for 1 s: 401 Unauthorized; the job itself continues: log in "
            r"again, .* then run pulumi up again, which picks it up",
        ),
    ):
        Watch(reader, queue_timeout_s=60).until_ended()
    assert login.runs > 2


def test_a_right_that_is_missing_ends_the_watch_at_once(api: Api, login: Login) -> None:
    login.give("first")
    api.status = 403
    with (
        connected(kubeconfig(api.url, **login.user()), "training", "sft-1") as reader,
        pytest.raises(ClusterError, match=r"denies access to the job \(403 Forbidden\)"),
    ):
        Watch(reader, queue_timeout_s=60).until_ended()
    assert len(api.asked) == 1
