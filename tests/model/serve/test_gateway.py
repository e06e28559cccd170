"""What a client sees: answers, refusals, headers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.serve.engine.interface import EngineFailed

if TYPE_CHECKING:
    import httpx

    from scenario_model.serve.service import Service
    from tests.model.serve.stand_in import StandInEngine

pytestmark = pytest.mark.anyio
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": "Good morning"}]}
TEXT = {"model": "assistant", "prompt": "Once upon a time"}


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_a_chat_is_answered_with_usage_and_reason(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine
) -> None:
    answer = (await client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 4})).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert len(answer["choices"][0]["message"]["content"].split()) == 4
    assert answer["choices"][0]["finish_reason"] == "length"
    prompt = len("<user>Good morning<assistant>")
    assert answer["usage"] == {"prompt_tokens": prompt, "completion_tokens": 4, "total_tokens": prompt + 4}


async def test_a_stream_says_the_same_as_the_whole_answer(client: httpx.AsyncClient) -> None:
    whole = (await client.post("/v1/chat/completions", json=CHAT)).json()
    streamed = await client.post("/v1/chat/completions", json={**CHAT, "stream": True})
    chunks = events(streamed.text)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)


async def test_a_stream_counts_tokens_when_asked(client: httpx.AsyncClient) -> None:
    body = {**TEXT, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 3}
    *chunks, last = events((await client.post("/v1/completions", json=body)).text)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 16, "completion_tokens": 3, "total_tokens": 19}


async def test_a_prompt_may_be_token_ids(client: httpx.AsyncClient, stand_in_engine: StandInEngine) -> None:
    whole = (await client.post("/v1/completions", json=TEXT)).json()
    ids = (await client.post("/v1/completions", json={**TEXT, "prompt": list(b"Once upon a time")})).json()
    assert ids["choices"][0]["text"] == whole["choices"][0]["text"]


async def test_sampling_parameters_reach_the_engine(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine
) -> None:
    wanted = {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ["a", "b"],
        "ignore_eos": True,
        "max_tokens": 2,
    }
    await client.post("/v1/completions", json={**TEXT, **wanted})
    request = stand_in_engine.submitted[-1]
    assert (request.temperature, request.top_p, request.seed) == (0.5, 0.9, 7)
    assert (request.stop, request.ignore_eos, request.max_tokens) == (("a", "b"), True, 2)


async def test_a_chat_without_a_limit_may_fill_the_context(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine
) -> None:
    await client.post("/v1/chat/completions", json=CHAT)
    request = stand_in_engine.submitted[-1]
    assert len(request.prompt) + request.max_tokens == stand_in_engine.max_context


@pytest.mark.parametrize(("path", "body"), [("/v1/completions", TEXT), ("/v1/chat/completions", CHAT)])
@pytest.mark.parametrize("wanted", [4090, 4096, 1_000_000])
async def test_a_limit_beyond_the_context_is_a_ceiling_and_not_a_demand(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine, path: str, body: dict[str, Any], wanted: int
) -> None:
    answer = await client.post(path, json={**body, "max_tokens": wanted})
    assert answer.status_code == 200
    request = stand_in_engine.submitted[-1]
    assert len(request.prompt) + request.max_tokens == stand_in_engine.max_context


async def test_a_prompt_that_leaves_no_room_is_refused_with_the_numbers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/completions", json={**TEXT, "prompt": [1] * 4096})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "4096 tokens" in error["message"]


async def test_a_token_id_the_model_does_not_have_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/completions", json={**TEXT, "prompt": [1, 256]})
    assert answer.status_code == 400
    assert "token id 256" in answer.json()["error"]["message"]


async def test_another_model_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", json={**CHAT, "model": "gpt-4o"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


async def test_the_model_may_be_named_with_its_digest(client: httpx.AsyncClient, service: Service) -> None:
    answer = await client.post("/v1/chat/completions", json={**CHAT, "model": service.release})
    assert answer.status_code == 200
    assert (await client.get(f"/v1/models/{service.release}")).json()["id"] == "assistant"
    assert (await client.get("/v1/models/assistant@sha256:" + "0" * 64)).status_code == 404


async def test_models_are_listed(client: httpx.AsyncClient, service: Service) -> None:
    listed = (await client.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["assistant"]
    assert listed["data"][0]["root"] == service.release


@pytest.mark.parametrize(
    "path", ["/v1/models", "/metrics", "/v1/chat/completions", "/", "/nothing", "/healthz/"]
)
@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer smk_wrong", "Basic c21r", "smk_a-key-for-tests"]
)
async def test_nothing_but_health_is_open_without_the_key(
    client: httpx.AsyncClient, path: str, authorization: str | None
) -> None:
    del client.headers["Authorization"]
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_two_keys_at_once_are_no_key(client: httpx.AsyncClient) -> None:
    headers = [("Authorization", "Bearer smk_a-key-for-tests"), ("Authorization", "Bearer other")]
    del client.headers["Authorization"]
    assert (await client.get("/v1/models", headers=headers)).status_code == 401


async def test_health_needs_no_key(client: httpx.AsyncClient) -> None:
    del client.headers["Authorization"]
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 200


async def test_every_answer_names_request_and_release(client: httpx.AsyncClient, service: Service) -> None:
    for path in ("/healthz", "/v1/models", "/nothing"):
        answer = await client.get(path)
        assert answer.headers["x-release"] == service.release
        assert answer.headers["x-request-id"].startswith("req_")
    named = await client.get("/v1/models", headers={"X-Request-Id": "mine-1"})
    assert named.headers["x-request-id"] == "mine-1"
    forged = await client.get("/v1/models", headers={"X-Request-Id": "mine 1;drop"})
    assert forged.headers["x-request-id"].startswith("req_")


async def test_a_wrong_method_or_path_has_the_usual_shape(client: httpx.AsyncClient) -> None:
    for method, path, allowed in (
        ("GET", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/v1/models/assistant", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
    ):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert (
            answer.json()["error"]["message"] == f"Method Not Allowed: use {allowed.replace(', ', ' or ')}."
        )
    answer = await client.post("/v1/embeddings", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"


async def test_a_full_queue_is_503_with_retry_after(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine
) -> None:
    stand_in_engine.max_waiting = -stand_in_engine.slots
    answer = await client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"


async def test_an_engine_that_fails_is_503_and_not_ready(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine
) -> None:
    stand_in_engine.failure = EngineFailed("no")
    assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 503
    stand_in_engine.state = "failed"
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "failed" in ready.text
    assert (await client.get("/healthz")).status_code == 200


async def test_an_engine_that_fails_under_way_ends_the_stream_with_an_error(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine
) -> None:
    stand_in_engine.step_seconds = 0.05
    asking = asyncio.create_task(
        client.post("/v1/completions", json={**TEXT, "stream": True, "max_tokens": 50, "ignore_eos": True})
    )
    await asyncio.sleep(0.3)
    stand_in_engine.failure = EngineFailed("no")
    *pieces, last = [line for line in (await asking).text.split("\n\n") if line.startswith("data: ")]
    assert len(pieces) >= 2
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "unavailable"


async def test_what_is_drained_before_it_began_is_503(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine, service: Service
) -> None:
    stand_in_engine.step_seconds = 0.2
    stand_in_engine.deadline.set()
    for stream in (False, True):
        answer = await client.post("/v1/completions", json={**TEXT, "stream": stream})
        assert answer.status_code == 503
        assert "retry-after" in answer.headers


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_cut_by_the_drain_says_so_and_never_that_it_is_whole(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine, stream: bool
) -> None:
    stand_in_engine.step_seconds = 0.02
    body = {**TEXT, "stream": stream, "max_tokens": 500, "ignore_eos": True}
    asking = asyncio.create_task(client.post("/v1/completions", json=body))
    await asyncio.sleep(0.3)
    await stand_in_engine.drain(0)
    answer = await asking
    assert "length" not in answer.text
    if stream:
        *pieces, last = [line for line in answer.text.split("\n\n") if line.startswith("data: ")]
        assert (answer.status_code, len(pieces) > 2) == (200, True)
        error = json.loads(last.removeprefix("data: "))["error"]
    else:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        error = answer.json()["error"]
    assert (error["code"], "shutting down" in error["message"]) == ("unavailable", True)


async def test_a_draining_server_is_not_ready_and_takes_no_work(
    client: httpx.AsyncClient, service: Service
) -> None:
    service.draining = True
    assert (await client.get("/readyz")).status_code == 503
    answer = await client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    assert answer.headers["connection"] == "close"


async def test_an_unexpected_error_is_500_and_its_message_is_not_sent(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine
) -> None:
    stand_in_engine.failure = KeyError("the secret prompt")
    answer = await client.post("/v1/chat/completions", json=CHAT)
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_only_plain_json_is_read(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.post("/v1/completions", content=json.dumps(TEXT), headers=headers)
    assert answer.status_code == status
