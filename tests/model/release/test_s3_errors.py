"""What is wrong with a bucket, the network or the hooks is one line, with an exit code that fits."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.cloud import client
from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.release.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries at once, and not for long."""
    monkeypatch.setattr(client, "_CONNECT_SECONDS", 1)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


def error_of(uri: str) -> ScenarioModelError:
    with pytest.raises(ScenarioModelError) as caught:
        open_store(uri, Path("unused"))
    assert "\n" not in str(caught.value)
    return caught.value


@contextlib.contextmanager
def answering(code: str, status: int) -> Iterator[str]:
    """An endpoint that answers nothing but this error."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>said so</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def do_GET(self) -> None:
            self.do_HEAD()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_named(aws_api: object) -> None:
    error = error_of("s3://there-is-no-such-bucket/x")
    assert str(error).startswith("s3://there-is-no-such-bucket/x: no such bucket; check its name")
    assert error.exit_code == 2


@pytest.mark.slow
def test_a_bucket_in_another_region_is_named_and_not_followed(
    s3: Any, bucket_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    error = error_of(bucket_uri)
    assert str(error).startswith(
        f"{bucket_uri}: is in region eu-central-1, not in eu-west-1; set AWS_REGION="
    )
    assert error.exit_code == 2


@pytest.mark.slow
def test_without_region_credentials_or_a_bucket_s_name_it_says_so(
    bucket_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("CONFIG", "SHARED_CREDENTIALS"):
        monkeypatch.setenv(f"AWS_{name}_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "no AWS credentials found; give the pod an identity" in str(error_of(bucket_uri))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert "no AWS region is set; set AWS_REGION" in str(error_of(bucket_uri))
    assert "is not a bucket" in str(error_of("s3://Not_A_Bucket"))


@pytest.mark.slow
def test_a_network_that_is_cut_is_tried_a_few_times_and_may_go_well_later(
    bucket_uri: str, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:  # bound, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        error = error_of(bucket_uri)
    assert "cannot be reached after 5 attempts" in str(error)
    assert error.exit_code == 75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "status", "said", "exit_code"),
    [
        ("AccessDenied", 403, "AWS denies ", 2),
        ("ExpiredToken", 400, "AWS does not accept the credentials: ExpiredToken", 2),
        ("SlowDown", 503, "AWS is busy", 75),
    ],
)
def test_what_aws_answers_becomes_one_line(
    code: str,
    status: int,
    said: str,
    exit_code: int,
    bucket_uri: str,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering(code, status) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        error = error_of(bucket_uri)
    assert said in str(error)
    assert error.exit_code == exit_code


@pytest.mark.parametrize(
    ("url", "named", "fits"),
    [
        ("https://s3.eu-central-1.amazonaws.com", "", True),
        ("http://127.0.0.1:5000", "", True),
        ("http://[::1]:5000", "", True),
        ("http://localhost:5000", "", True),
        ("http://10.20.0.1:5000", "", False),
        ("http://10.20.0.1:5000", "10.20.0.1", True),
        ("http://10.20.0.2:5000", "10.20.0.1", False),
        ("http://127.0.0.1.example.com", "", False),
        ("ftp://10.20.0.1", "", False),
    ],
)
def test_without_tls_only_this_machine_and_a_host_that_is_named_are_spoken_to(
    url: str, named: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(client.PLAIN_HTTP, named)
    if fits:
        client.check_transport(url)
        return
    with pytest.raises(InputError, match="an endpoint without TLS"):
        client.check_transport(url)
