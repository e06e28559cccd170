"""A store in a bucket: nothing appears before it is whole, nothing changed is taken, and every error is one
line."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from scenario_model.cloud import client, multipart
from scenario_model.cloud.bucket import Bucket
from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused, ScenarioModelError, TemporaryError
from scenario_model.release.command import command
from scenario_model.release.s3_store import S3Store
from scenario_model.release.signature import sign_directory
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from tests.model.conftest import NAME
from tests.model.release.test_sign import make_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.model.release.conftest import KeyPair

MIB = 2**20


@pytest.fixture(scope="module")
def large_release(tmp_path_factory: pytest.TempPathFactory, key_pair: KeyPair) -> tuple[Path, str]:
    """A signed release with a file of three parts; not to be changed."""
    directory = tmp_path_factory.mktemp("large") / "assistant"
    directory.mkdir()
    manifest = {"format": 1, "name": "assistant", "evaluation": {"passed": True, "reasons": []}}
    (directory / "release.json").write_text(json.dumps(manifest))
    (directory / "config.json").write_text('{"model_type": "llama"}')
    weight = np.random.default_rng(0).random(3 * MIB, dtype=np.float32)
    save_file({"weight": weight}, directory / "model.safetensors")
    name = f"assistant@{tree_digest(directory)}"
    sign_directory(directory, key_pair.private)
    return directory, name


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest that S3 takes."""
    monkeypatch.setattr(multipart, "PART_BYTES", 5 * MIB)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations that clients made from now on ask for."""
    asked: list[str] = []
    real = client.client

    def noting(service: str) -> Any:
        made = real(service)
        made.meta.events.register("before-call", lambda model, **_: asked.append(model.name))
        return made

    monkeypatch.setattr("scenario_model.cloud.bucket.client", noting)
    return asked


def key_of(name: str) -> str:
    return f"releases/{name.replace('@sha256:', '/sha256-')}"


@pytest.mark.slow
def test_a_writer_killed_before_any_of_its_requests_leaves_nothing_visible_and_the_next_completes_it(
    bucket_uri: str,
    large_release: tuple[Path, str],
    key_pair: KeyPair,
    small_parts: None,
    s3: Any,
    tmp_path: Path,
) -> None:
    directory, name = large_release
    script = Path(__file__).with_name("killed_uploader.py")
    process = subprocess.Popen(
        [sys.executable, script, name, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    deaths, code = 0, 9
    while code == 9:
        uri = f"{bucket_uri}/{deaths}"
        process.stdin.write(f"{deaths} {uri}\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        store = open_store(uri, tmp_path / str(deaths))
        if code == 9:
            assert store.children("releases/assistant") == []
            assert store.read(f"{key_of(name)}/config.json") is None
            with pytest.raises(InputError, match="holds no release"):
                store.fetch(name)
        else:
            assert code == 0
        assert store.upload(name, directory) == (code == 9)
        verify_release(store.fetch(name), key_pair.public, expect=name)
        deaths += code == 9
    process.communicate()
    assert deaths >= 12
    assert not s3.list_multipart_uploads(Bucket=NAME).get("Uploads"), "unfinished uploads cost money"


def test_what_a_killed_writer_had_carried_is_not_carried_again(
    bucket_uri: str,
    large_release: tuple[Path, str],
    small_parts: None,
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    directory, name = large_release
    store = open_store(bucket_uri, tmp_path)

    def dies(**_: object) -> None:
        raise KeyboardInterrupt

    events = store._bucket._client.meta.events  # type: ignore[attr-defined]
    events.register("before-call.s3.CompleteMultipartUpload", dies)
    with pytest.raises(KeyboardInterrupt):
        store.upload(name, directory)
    assert requests.count("UploadPart") == 3
    requests.clear()
    assert open_store(bucket_uri, tmp_path).upload(name, directory)
    assert "UploadPart" not in requests
    assert requests.count("PutObject") == 2, "release.json, after the weights, and release.sig"


def test_a_part_of_other_content_is_carried_again(
    bucket_uri: str,
    large_release: tuple[Path, str],
    key_pair: KeyPair,
    small_parts: None,
    s3: Any,
    tmp_path: Path,
) -> None:
    directory, name = large_release
    at = {"Bucket": NAME, "Key": f"of/mine/{key_of(name)}/model.safetensors"}
    begun = s3.create_multipart_upload(**at)["UploadId"]
    s3.upload_part(**at, UploadId=begun, PartNumber=1, Body=bytes(5 * MIB))
    store = open_store(bucket_uri, tmp_path)
    assert store.upload(name, directory)
    verify_release(store.fetch(name), key_pair.public, expect=name)


def test_of_two_writers_of_a_release_one_is_told_that_it_was_there(
    bucket_uri: str, large_release: tuple[Path, str], key_pair: KeyPair, small_parts: None, tmp_path: Path
) -> None:
    directory, name = large_release
    stores = [open_store(bucket_uri, tmp_path / str(number)) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda store: store.upload(name, directory), stores))
    assert sorted(told) == [False, False, False, True]
    verify_release(stores[0].fetch(name), key_pair.public, expect=name)


def test_an_object_that_was_changed_is_refused_by_its_name_until_it_is_mended(
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    key_pair: KeyPair,
    put: Callable[[str, bytes], None],
    s3: Any,
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path / "cache")
    store.upload(name, directory)
    weights = f"{key_of(name)}/model.safetensors"
    put(weights, (directory / "model.safetensors").read_bytes()[:-1] + b"!")
    with pytest.raises(Refused, match=rf"{weights}: content differs from what the release's name says"):
        store.fetch(name)
    noted = {"sha256": f"sha256:{'0' * 64}"}
    s3.put_object(Bucket=NAME, Key=f"of/mine/{weights}", Body=b"other", Metadata=noted)
    with pytest.raises(Refused, match=rf"{weights}: content differs from what was put there"):
        store.fetch(name)
    put(weights, (directory / "model.safetensors").read_bytes())
    verify_release(store.fetch(name), key_pair.public, expect=name)


def test_a_release_of_another_key_is_refused_by_the_verifier(
    bucket_uri: str, pristine_release: tuple[Path, str], other_key_pair: KeyPair, tmp_path: Path
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path)
    store.upload(name, directory)
    with pytest.raises(Refused, match=r"release.sig: signed by another key"):
        verify_release(store.fetch(name), other_key_pair.public, expect=name)


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        ("config.json", "config.json: is there, with other content"),
        ("more.json", "more.json: is no file of this release"),
    ],
)
def test_a_foreign_object_in_a_release_s_place_keeps_it_from_appearing(
    foreign: str,
    said: str,
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    put: Callable[[str, bytes], None],
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    put(f"{key_of(name)}/{foreign}", b"{}")
    store = open_store(bucket_uri, tmp_path)
    with pytest.raises(Refused, match=said):
        store.upload(name, directory)
    assert store.children("releases/assistant") == []


@pytest.mark.parametrize("key", ["../../escaped.json", ".hidden.json", "pickle.bin", "a/../../b.json"])
def test_a_key_that_is_no_file_of_a_release_is_refused_before_anything_is_written(
    key: str,
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    put: Callable[[str, bytes], None],
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path / "cache")
    store.upload(name, directory)
    put(f"{key_of(name)}/{key}", b"{}")
    with pytest.raises(Refused):
        store.fetch(name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_fetch_that_was_cut_goes_on_and_is_seen_whole_or_not_at_all(
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    key_pair: KeyPair,
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path)
    store.upload(name, directory)
    real = Bucket.download

    def cut(self: Bucket, key: str, path: Path) -> None:
        if path.name == "release.json":
            raise TemporaryError("cut")
        real(self, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "download", cut)
        with pytest.raises(TemporaryError):
            store.fetch(name)
    assert not list(tmp_path.glob("*/releases/assistant/sha256-*"))
    requests.clear()
    kept = store.fetch(name)
    assert requests.count("GetObject") == 3, "release.json, release.sig and tokenizer.json"
    verify_release(kept, key_pair.public, expect=name)
    requests.clear()
    assert store.fetch(name) == kept
    assert requests == ["HeadObject"]


def test_sign_list_promote_and_roll_back_work_over_a_bucket_as_over_a_folder(
    bucket_uri: str, key_pair: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: object) -> dict[str, Any]:
        done = CliRunner().invoke(command, [*map(str, arguments), "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    there = ("--store", bucket_uri)
    key = ("--key", key_pair.private)
    names = []
    for weight in (1.0, 2.0):
        signed = call("sign", make_run(tmp_path / str(weight), weight=weight), *there, *key)
        assert call("promote", signed["release"], *there, *key)["changed"]
        assert not call("promote", signed["release"], *there, *key)["changed"]
        names.append(signed["release"])
    failed = call("sign", make_run(tmp_path / "failed", passed=False), *there, *key)
    with pytest.raises(Refused, match="did not pass its evaluation gate"):
        call("promote", failed["release"], *there, *key)
    assert call("rollback", *there, *key)["release"] == names[0]
    found = call("list", *there, "--key", key_pair.public)
    assert {each["release"]: each["channels"] for each in found["releases"]} == {
        names[0]: ["stable"],
        names[1]: [],
        failed["release"]: [],
    }
    assert all(each["signed"] for each in found["releases"] + found["channels"])


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


def test_a_bucket_that_is_not_there_is_named(aws_api: object) -> None:
    error = error_of("s3://there-is-no-such-bucket/x")
    assert str(error).startswith("s3://there-is-no-such-bucket/x: no such bucket; check its name")
    assert error.exit_code == 2


def test_a_bucket_in_another_region_is_named_and_not_followed(
    s3: Any, bucket_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    error = error_of(bucket_uri)
    assert str(error).startswith(
        f"{bucket_uri}: is in the region eu-central-1, not in eu-west-1; set AWS_REGION="
    )
    assert error.exit_code == 2


def test_without_region_credentials_or_a_bucket_s_name_it_says_so(
    bucket_uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("CONFIG", "SHARED_CREDENTIALS"):
        monkeypatch.setenv(f"AWS_{name}_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "no AWS credentials are here; give the pod an identity" in str(error_of(bucket_uri))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    assert "no region is set; set AWS_REGION" in str(error_of(bucket_uri))
    assert "names no bucket" in str(error_of("s3://Not_A_Bucket"))


def test_a_network_that_is_cut_is_tried_a_few_times_and_may_go_well_later(
    bucket_uri: str, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:  # bound, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        error = error_of(bucket_uri)
    assert "cannot be reached after 5 attempts" in str(error)
    assert error.exit_code == 75


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


def test_a_release_without_signature_is_not_taken(
    bucket_uri: str, release_copy: Path, pristine_release: tuple[Path, str], tmp_path: Path
) -> None:
    (release_copy / "release.sig").unlink()
    store = open_store(bucket_uri, tmp_path)
    assert isinstance(store, S3Store)
    with pytest.raises(InputError, match=r"is not signed: it has no release.sig"):
        store.upload(pristine_release[1], release_copy)
