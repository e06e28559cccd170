"""`scenario-model serve`, the real command: over loopback HTTPS, with a signed release of a tiny model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import openai
import psutil
import pytest

from scenario_model.serve import credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.model.serve.running_server import RunningServer, StartServer


pytestmark = pytest.mark.slow
QUESTION = [{"role": "user", "content": "What does the with statement do?"}]


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Iterator[RunningServer]:
    with start_server() as server:
        yield server


@pytest.fixture
def openai_client(server: RunningServer) -> Iterator[openai.OpenAI]:
    with openai.DefaultHttpxClient(verify=server.trust) as http:
        yield openai.OpenAI(base_url=server.url + "/v1", api_key=server.key, http_client=http)


def test_the_openai_client_lists_chats_and_streams(
    openai_client: openai.OpenAI, server: RunningServer
) -> None:
    (model,) = openai_client.models.list().data
    assert (model.id, openai_client.models.retrieve(server.release).id) == ("assistant", "assistant")
    wanted: dict[str, Any] = {"model": "assistant", "messages": QUESTION, "temperature": 0, "max_tokens": 24}
    whole = openai_client.chat.completions.create(**wanted)
    chunks = list(
        openai_client.chat.completions.create(**wanted, stream=True, stream_options={"include_usage": True})
    )
    *pieces, last = chunks
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    assert text == whole.choices[0].message.content
    assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.usage == whole.usage
    assert 1 <= whole.usage.completion_tokens <= 24


def test_the_openai_client_completes_texts_and_token_ids(openai_client: openai.OpenAI) -> None:
    wanted: dict[str, Any] = {
        "model": "assistant",
        "temperature": 0,
        "max_tokens": 8,
        "extra_body": {"ignore_eos": True},
    }
    whole = openai_client.completions.create(prompt="The import system", **wanted)
    stream = openai_client.completions.create(prompt="The import system", stream=True, **wanted)
    assert "".join(chunk.choices[0].text for chunk in stream) == whole.choices[0].text
    assert (whole.usage.completion_tokens, whole.choices[0].finish_reason) == (8, "length")
    ids = openai_client.completions.create(prompt=[1, 2, 3, 4], **wanted)
    assert ids.usage.prompt_tokens == 4


def test_the_same_seed_gives_the_same_answer(openai_client: openai.OpenAI) -> None:
    wanted: dict[str, Any] = {
        "model": "assistant",
        "messages": QUESTION,
        "temperature": 1.5,
        "max_tokens": 16,
    }
    first, second, other = (
        openai_client.chat.completions.create(**wanted, seed=seed).choices[0].message.content
        for seed in (1, 1, 2)
    )
    assert first == second != other


def test_a_wrong_key_is_401(server: RunningServer) -> None:
    with openai.DefaultHttpxClient(verify=server.trust) as http:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="smk_wrong", http_client=http)
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_nobody_is_answered_without_tls_or_by_another_authority(server: RunningServer) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url.replace("https", "http") + "/healthz")
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(server.url + "/healthz")


def test_every_answer_names_the_release(server: RunningServer) -> None:
    answer = server.get("/v1/models")
    assert answer.headers["x-release"] == server.release
    assert f'release="{server.release}"' in server.get("/metrics").text


def test_metrics_tell_when_the_certificate_that_clients_get_expires(server: RunningServer) -> None:
    with (
        socket.create_connection(("127.0.0.1", server.port)) as raw,
        server.trust.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        until = ssl.cert_time_to_seconds(str((tls.getpeercert() or {})["notAfter"]))
    assert server.metric("scenario_model_certificate_not_after_timestamp_seconds") == until


def test_a_reader_that_stalls_is_cut_and_its_slot_freed(server: RunningServer) -> None:
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", server.port))
        with server.trust.wrap_socket(raw, server_hostname="localhost") as reader:
            wanted = {
                "model": "assistant",
                "prompt": "Once",
                "max_tokens": 1900,
                "ignore_eos": True,
                "stream": True,
            }
            body = json.dumps(wanted).encode()
            head = (
                f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {server.key}\r\n"
            )
            reader.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            server.wait_for(lambda: server.metric("vllm:num_requests_running") == 1)
            server.wait_for(lambda: server.metric("vllm:num_requests_running") == 0, seconds=60)
    assert server.metric("vllm:request_success_total", finished_reason="abort") >= 1


def test_stopped_while_loading_it_ends_at_once(start_server: StartServer) -> None:
    with start_server(wait=False) as server:
        server.wait_for(lambda: server.get("/readyz").status_code == 503)
        assert "loading" in server.get("/readyz").text
        refused = server.post("/v1/completions", {"model": "assistant", "prompt": "x"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0


def run(path: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "scenario_model", "serve", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"colour": "red"}, 2, "unknown key 'colour'"),
        ({"limits": {"connections": 0}}, 2, "'limits.connections' is 0"),
        ({"engine": {"weights": "int3"}}, 2, "'engine.weights'"),
        ({"port": "8443"}, 2, "'port'"),
        ({"port": 99999}, 2, "'port'"),
        ({"host": "192.0.2.1"}, 2, "192.0.2.1"),
        ({"host": "no-such-host.invalid"}, 2, "no-such-host.invalid"),
        ({"name": "other"}, 2, "other"),
        ({"channel": "canary"}, 2, "canary"),
        ({"store": "/nowhere"}, 2, ""),
        ({"api_keys": "/nowhere/keys.json"}, 2, "/nowhere/keys.json"),
        ({"verification_key": "/nowhere/key.pem"}, 2, "/nowhere/key.pem"),
        ({"tls": {"certificate": "/nowhere/a.pem", "private_key": "/nowhere/b.pem"}}, 2, "/nowhere/a.pem"),
    ],
)
def test_a_mistake_ends_in_one_line_before_the_model_is_loaded(
    write_config: Callable[..., Path], change: dict[str, Any], code: int, says: str
) -> None:
    status, text = run(write_config(**change))
    (line,) = [line for line in text.splitlines() if not line.startswith("{")]
    assert (status, line.startswith("scenario-model: ")) == (code, True)
    assert says in line


def test_a_port_in_use_is_named(write_config: Callable[..., Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, text = run(write_config(port=port))
    assert status == 2
    assert text.startswith(f"scenario-model: 127.0.0.1:{port}: cannot listen there: Address already in use")
    assert text.count("\n") == 1


def test_a_certificate_that_is_none_or_another_keys_is_named(
    write_config: Callable[..., Path], deployment: Path, tmp_path: Path
) -> None:
    credentials.ensure(tmp_path / "other", ["localhost"])
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("rubbish")
    for certificate in (wrong, tmp_path / "other" / "server.pem"):
        tls = {"certificate": str(certificate), "private_key": str(deployment / "tls" / "server.key")}
        status, text = run(write_config(tls=tls))
        assert status == 2
        assert text.startswith(f"scenario-model: {certificate}: not a usable PEM certificate")


def test_a_tampered_release_is_refused_before_the_model_is_loaded(
    write_config: Callable[..., Path], deployment: Path, tmp_path: Path
) -> None:
    shutil.copytree(deployment / "store", tmp_path / "store")
    (weights,) = (tmp_path / "store").rglob("model.safetensors")
    weights.chmod(0o644)
    with weights.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last[0] ^ 1]))
    status, text = run(write_config(store=str(tmp_path / "store")))
    assert status == 1
    assert "scenario-model: model.safetensors: content differs from what was signed" in text
    assert "Traceback" not in text
    assert '"loading the model"' not in text


def test_the_key_is_in_no_argument_and_no_environment(server: RunningServer) -> None:
    process = psutil.Process(server.process.pid)
    assert server.key not in " ".join(process.cmdline()) + str(process.environ())
