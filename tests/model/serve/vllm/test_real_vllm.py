"""The real thing: `scenario-model serve` over a real vLLM, with the real foundation model."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from tests.model.serve.conftest import deploy
from tests.model.serve.running_server import RunningServer, write_serve_config
from tests.model.serve.vllm.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENVIRONMENT = os.environ.get("SCENARIO_VLLM", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not ENVIRONMENT,
        reason="needs a GPU, or a CPU build of vLLM, and SCENARIO_VLLM, an environment that has it: "
        "python -m venv DIR && DIR/bin/pip install --require-hashes -r requirements/vllm.lock",
    ),
]
# A small part of a host's memory, if it is a CPU build; of a GPU's it is enough for this model too.
ENGINE = {"kind": "vllm", "environment": ENVIRONMENT, "gpu_memory_utilization": 0.1, "max_context": 2048}
QUESTION = [{"role": "user", "content": "Why is the sky blue? Answer in two sentences."}]
PROMPTS = [
    "The capital of France is",
    "In Python, the with statement",
    "Once upon a time, there was a",
    "Water boils at",
]


@contextlib.contextmanager
def serving(deployment: Path, folder: Path, engine: dict[str, Any]) -> Iterator[RunningServer]:
    server = RunningServer(deployment, write_serve_config(deployment, folder, engine=engine))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def real(foundation: Path, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment of the real foundation model."""
    return deploy(tmp_path_factory.mktemp("real"), foundation, certificates)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all servers here, so that what vLLM compiles is compiled once."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="module")
def server(real: Path, kept: Path) -> Iterator[RunningServer]:
    engine = {**ENGINE, "dtype": "fp32", "max_sequences": 4, "max_waiting": 2}
    with serving(real, kept, engine) as server:
        yield server


def ask(server: RunningServer, **body: Any) -> httpx.Response:
    path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
    headers = {"Authorization": f"Bearer {server.key}"}
    asked = {"model": "assistant", "temperature": 0, "max_tokens": 32, **body}
    return httpx.post(server.url + path, json=asked, headers=headers, verify=server.trust, timeout=300)


def text(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    choice = answer.json()["choices"][0]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


def streamed(server: RunningServer, **body: Any) -> list[dict[str, Any]]:
    answer = ask(server, stream=True, stream_options={"include_usage": True}, **body)
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


def test_it_chats_whole_and_as_a_stream(server: RunningServer) -> None:
    whole = ask(server, messages=QUESTION)
    events = streamed(server, messages=QUESTION)
    pieces = [event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]]
    assert "".join(pieces) == text(whole)
    assert len(pieces) > 10
    assert events[-1]["usage"] == whole.json()["usage"]
    assert whole.json()["usage"]["completion_tokens"] == 32
    assert whole.headers["x-release"] == server.release
    assert "Paris" in text(
        ask(server, messages=[{"role": "user", "content": "What is the capital of France?"}])
    )


def test_an_answer_ends_before_a_stop_string_at_its_end_token_or_at_its_length(server: RunningServer) -> None:
    whole = text(ask(server, prompt=PROMPTS[0]))
    stop = whole[len(whole) // 2 :][:3]
    for stopped in (ask(server, prompt=PROMPTS[0], stop=[stop]), ask(server, prompt=PROMPTS[0], stop=stop)):
        assert text(stopped) == whole.partition(stop)[0]
        assert stopped.json()["choices"][0]["finish_reason"] == "stop"
    short = [{"role": "user", "content": "Say only the word yes."}]
    natural = ask(server, messages=short, max_tokens=200)
    assert natural.json()["choices"][0]["finish_reason"] == "stop"
    forced = ask(server, messages=short, max_tokens=200, ignore_eos=True)
    assert forced.json()["usage"]["completion_tokens"] == 200
    assert forced.json()["choices"][0]["finish_reason"] == "length"


def test_the_same_seed_gives_the_same_answer(server: RunningServer) -> None:
    asked: dict[str, Any] = {"prompt": PROMPTS[2], "temperature": 1.2, "top_p": 0.95}
    first, again, other = (text(ask(server, seed=seed, **asked)) for seed in (7, 7, 8))
    assert first == again != other


def test_characters_come_whole(server: RunningServer) -> None:
    events = streamed(server, prompt="Emoji: 😀 🎉 🚀 😀 🎉 🚀 😀 🎉", max_tokens=24)
    pieces = "".join(event["choices"][0]["text"] for event in events if event["choices"])
    assert "�" not in pieces


def test_greedy_answers_are_those_of_the_bundled_engine_in_float32(
    server: RunningServer, real: Path, kept: Path
) -> None:
    from_vllm = [text(ask(server, prompt=prompt)) for prompt in PROMPTS]
    with serving(real, kept, {"weights": "fp32", "compile": "off", "prompt_lookup": "off"}) as bundled:
        from_torch = [text(ask(bundled, prompt=prompt)) for prompt in PROMPTS]
    # Sums in another order differ in their last bits, so a near tie may fall the other way; not in most.
    assert sum(a == b for a, b in zip(from_vllm, from_torch, strict=True)) >= len(PROMPTS) - 1
    assert all(a[:20] == b[:20] for a, b in zip(from_vllm, from_torch, strict=True))


def test_a_client_that_leaves_frees_its_place_in_vllm(server: RunningServer) -> None:
    asked = {"model": "assistant", "prompt": "Once", "max_tokens": 1500, "ignore_eos": True, "stream": True}
    headers = {"Authorization": f"Bearer {server.key}"}
    with (
        httpx.Client(verify=server.trust, headers=headers, timeout=60) as client,
        client.stream("POST", f"{server.url}/v1/completions", json=asked) as answer,
    ):
        lines = answer.iter_lines()  # kept: httpx hangs up with the iterator
        next(lines)
        server.wait_for(lambda: server.metric("vllm:kv_cache_usage_perc") > 0)
    server.wait_for(lambda: server.metric("vllm:num_requests_running") == 0)
    server.wait_for(lambda: server.metric("vllm:kv_cache_usage_perc") == 0)


def test_more_than_there_is_room_for_is_told_to_come_again(server: RunningServer) -> None:
    with ThreadPoolExecutor(12) as clients:
        jobs = [clients.submit(ask, server, prompt="Once", max_tokens=64, ignore_eos=True) for _ in range(12)]
        answers = [job.result() for job in jobs]
    accepted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert (len(accepted), len(refused)) == (6, 6)
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert len({text(answer) for answer in accepted}) == 1


def test_nobody_on_another_host_can_call_it_and_it_calls_nobody(server: RunningServer) -> None:
    family = psutil.Process(server.process.pid).children(recursive=True)
    assert len(family) >= 2
    for process in family:
        connections = process.net_connections("inet")
        # A CPU build's worker listens on the loopback: torch's collectives, of one process here.
        assert {c.laddr.ip for c in connections} <= {"127.0.0.1", "::1"}
        assert {c.raddr.ip for c in connections if c.raddr} <= {"127.0.0.1", "::1"}


def test_no_prompt_is_in_the_log(server: RunningServer) -> None:
    ask(server, prompt="The zweihander of Xylophia is")
    assert "Xylophia" not in server.log.read_text()
    assert [event for event in server.events() if event["event"] == "vllm"]


def test_on_sigterm_what_was_accepted_is_finished_and_nothing_is_left(real: Path, kept: Path) -> None:
    with serving(real, kept, ENGINE) as server:
        family = psutil.Process(server.process.pid).children(recursive=True)
        with ThreadPoolExecutor(4) as clients:
            jobs = [clients.submit(ask, server, prompt=p, max_tokens=60, ignore_eos=True) for p in PROMPTS]
            server.wait_for(lambda: server.metric("vllm:generation_tokens_total") > 0)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            answers = [job.result() for job in jobs]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert server.process.wait(60) == 0
        assert time.monotonic() - began < 8 + 12
    wait_for(lambda: not any(process.is_running() for process in family))


@pytest.mark.parametrize("which", ["vllm", "engine core", "server"])
def test_a_killed_process_takes_all_others_along(real: Path, kept: Path, which: str) -> None:
    with serving(real, kept, ENGINE) as server:
        family = psutil.Process(server.process.pid).children(recursive=True)
        guard, vllm, *workers = family
        assert workers, "vLLM computes in a process of its own"
        with ThreadPoolExecutor(1) as clients:
            job = clients.submit(ask, server, prompt="Once", max_tokens=1500, ignore_eos=True)
            server.wait_for(lambda: server.metric("vllm:num_requests_running") == 1)
            if which == "server":
                server.process.kill()
                with pytest.raises(httpx.TransportError):
                    job.result()
            else:
                # By name: a resource tracker of Python's is among the workers.
                core = max(workers, key=lambda process: process.memory_info().rss)
                (vllm if which == "vllm" else core).kill()
                assert job.result().status_code == 503
                assert server.process.wait(60) == 1
    wait_for(lambda: not any(process.is_running() for process in [guard, vllm, *workers]))
