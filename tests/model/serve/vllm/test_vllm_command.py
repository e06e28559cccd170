"""`scenario-model serve` with vLLM as its engine: the real command and gateway over a stand-in for vLLM."""

from __future__ import annotations

import shutil
import signal
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.model.serve.vllm.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.model.serve.running_server import RunningServer, StartServer
    from tests.model.serve.vllm.conftest import Environment

pytestmark = pytest.mark.slow


def engine(environment: Environment, **more: Any) -> dict[str, Any]:
    return {"kind": "vllm", "environment": str(environment.folder), "max_sequences": 2, **more}


@pytest.fixture
def server(start_server: StartServer, environment: Environment) -> Iterator[RunningServer]:
    with start_server(engine=engine(environment)) as server:
        yield server
    wait_for(lambda: environment.processes() == [])


def asking(**more: Any) -> dict[str, Any]:
    return {"model": "assistant", "prompt": "Once", "max_tokens": 8, "ignore_eos": True, **more}


def test_the_gateway_is_the_same_in_front_of_vllm(server: RunningServer) -> None:
    answer = server.post("/v1/completions", asking())
    assert answer.json()["choices"][0]["text"] == " w0 w1 w2 w3 w4 w5 w6 w7"
    assert answer.json()["usage"]["completion_tokens"] == 8
    assert answer.headers["x-release"] == server.release
    chat = {"model": "assistant", "messages": [{"role": "user", "content": "Hello"}]}
    assert server.post("/v1/chat/completions", chat).json()["choices"][0]["finish_reason"] == "stop"
    assert server.get("/v1/models").json()["data"][0]["max_model_len"] == 512
    assert httpx.get(f"{server.url}/v1/models", verify=server.trust).status_code == 401
    # 8 and 6; the token that proved it ready was asked for by nobody.
    assert server.metric("vllm:generation_tokens_total", release=server.release) == 14
    assert "scenario_model_engine_step_seconds" not in server.get("/metrics").text
    too_long = server.post("/v1/completions", {**asking(), "prompt": "word " * 600})
    assert (too_long.status_code, too_long.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_no_prompt_is_in_the_log(server: RunningServer, environment: Environment) -> None:
    environment.behave(status=400)
    refused = server.post("/v1/completions", asking(prompt="A secret of mine"))
    assert refused.status_code == 503
    assert "secret" not in refused.text
    (line,) = (event for event in server.events() if event["event"] == "vLLM failed a request")
    assert line["reason"] == "vLLM refused a request with HTTP 400"
    assert "secret" not in server.log.read_text()


def test_a_killed_vllm_ends_the_server_so_that_its_manager_starts_it_again(
    server: RunningServer, environment: Environment
) -> None:
    environment.behave(step_seconds=0.05)
    answers: list[httpx.Response] = []
    client = threading.Thread(
        target=lambda: answers.append(server.post("/v1/completions", asking(max_tokens=400)))
    )
    client.start()
    wait_for(lambda: server.metric("vllm:num_requests_running") == 1)
    environment.processes()[1].kill()
    client.join(30)
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "unavailable")
    assert server.process.wait(30) == 1
    assert "the engine failed" in server.log.read_text()


def test_on_sigterm_what_was_accepted_is_finished(server: RunningServer, environment: Environment) -> None:
    environment.behave(step_seconds=0.05)
    headers = {"Authorization": f"Bearer {server.key}"}
    asked = asking(max_tokens=40, stream=True)
    with (
        httpx.Client(verify=server.trust, headers=headers) as client,
        client.stream("POST", f"{server.url}/v1/completions", json=asked) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        server.process.send_signal(signal.SIGTERM)
        rest = list(lines)
    assert rest[-2:] == ["data: [DONE]", ""]
    assert server.process.wait(30) == 0
    assert environment.seen("ended")[-1] == "completed"


def test_stopped_while_vllm_loads_it_ends_at_once_with_it(
    start_server: StartServer, environment: Environment
) -> None:
    environment.behave(load_seconds=600)
    with start_server(wait=False, engine=engine(environment)) as server:
        server.wait_for(lambda: environment.seen("process"))
        assert "loading" in server.get("/readyz").text
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 0
    wait_for(lambda: environment.processes() == [])


def test_a_vllm_that_cannot_load_ends_the_server_in_one_line(
    start_server: StartServer, environment: Environment
) -> None:
    environment.behave(load_error="ValueError: no such device")
    with start_server(wait=False, engine=engine(environment)) as server:
        assert server.process.wait(60) == 1
        last = server.log.read_text().splitlines()[-1]
    assert last.startswith(
        "scenario-model: vLLM ended before the model was loaded: ValueError: no such device"
    )


def test_a_release_that_changes_while_vllm_reads_it_is_refused(
    start_server: StartServer, environment: Environment, deployment: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(deployment / "store", store)
    environment.behave(load_seconds=2)
    with start_server(wait=False, store=str(store), engine=engine(environment)) as server:
        server.wait_for(lambda: environment.seen("process"))
        (weights,) = store.rglob("model.safetensors")
        shutil.copy(weights, tmp_path / "same.safetensors")
        (tmp_path / "same.safetensors").replace(weights)
        assert server.process.wait(60) == 1
        assert "model.safetensors: changed after it was verified" in server.log.read_text()
    wait_for(lambda: environment.processes() == [])
