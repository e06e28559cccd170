"""Logs and metrics: what operators see, and what nobody must see."""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scenario_model.errors import InputError
from scenario_model.serve import logs
from scenario_model.serve.settings import MetricsPort

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.serve.gateway import Gateway
    from scenario_model.serve.service import Service
    from tests.model.serve.stand_in import StandInEngine

    LogLines = Callable[[], list[dict[str, Any]]]

pytestmark = pytest.mark.anyio
SECRET = "the-planted-secret"
CHAT = {"model": "assistant", "messages": [{"role": "user", "content": SECRET}]}


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> LogLines:
    """The log as the server writes it; logging is as before afterwards."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    for name in (logs.LOGGER.name, *logs.QUIETENED):
        logger = logging.getLogger(name)
        for attribute in ("handlers", "level", "propagate"):
            monkeypatch.setattr(logger, attribute, getattr(logger, attribute))
    logs.configure()
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_request_is_one_json_line_without_its_text(
    client: httpx.AsyncClient, service: Service, log_lines: LogLines
) -> None:
    await client.post("/v1/chat/completions", json=CHAT, headers={"X-Request-Id": "mine"})
    (line,) = log_lines()
    assert (line["request_id"], line["key"], line["status"]) == ("mine", "default", 200)
    assert (line["path"], line["finish_reason"]) == ("/v1/chat/completions", "stop")
    assert (line["completion_tokens"], line["release"]) == (6, service.release)
    assert line["prompt_tokens"] > 0
    assert line["first_token_ms"] <= line["duration_ms"]


async def test_no_prompt_key_path_or_message_is_logged(
    client: httpx.AsyncClient, stand_in_engine: StandInEngine, log_lines: LogLines
) -> None:
    stand_in_engine.failure = ValueError(SECRET)
    await client.post("/v1/chat/completions", json=CHAT)
    await client.get(f"/{SECRET}?key={SECRET}")
    await client.get(f"/v1/models/{SECRET}")
    await client.post("/v1/chat/completions", json={**CHAT, "model": SECRET})
    await client.post("/v1/chat/completions", content=SECRET)
    await client.get("/v1/models", headers={"Authorization": f"Bearer {SECRET}"})
    lines = log_lines()
    assert len(lines) == 7
    assert SECRET not in json.dumps(lines)
    assert lines[0]["exception"] == "ValueError"
    assert any("_words" in where for where in lines[0]["where"])


REFUSED = [
    ({"temperature": "warm"}, 400, "invalid_type", "temperature"),
    ({"temperature": 9}, 400, "invalid_value", "temperature"),
    ({"n": 2}, 400, "unsupported_parameter", "n"),
    ({SECRET: 1}, 400, "unsupported_parameter", "other"),
    ({"stream_options": {SECRET: 1}}, 400, "unsupported_parameter", "stream_options"),
    ({"messages": []}, 400, "invalid_value", "messages"),
    ({"messages": [{"role": SECRET}]}, 400, "invalid_value", "messages"),
    ({"messages": [{"role": "user", "content": "x", SECRET: 1}]}, 400, "unsupported_parameter", "messages"),
    ({"messages": None}, 400, "missing_required_parameter", "messages"),
    ({"messages": [{"role": "user", "content": "x" * 9000}]}, 400, "context_length_exceeded", "messages"),
    ({"model": SECRET}, 404, "model_not_found", "model"),
]


@pytest.mark.parametrize(("change", "status", "reason", "param"), REFUSED)
async def test_why_a_request_was_refused_is_logged_and_counted_without_its_words(
    client: httpx.AsyncClient,
    log_lines: LogLines,
    change: dict[str, Any],
    status: int,
    reason: str,
    param: str,
) -> None:
    assert (await client.post("/v1/chat/completions", json=CHAT | change)).status_code == status
    (line,) = log_lines()
    assert (line["status"], line["error"], line["param"]) == (status, reason, param)
    text = (await client.get("/metrics")).text
    (sample,) = [
        sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "scenario_model_requests_refused_total"
    ]
    assert (sample.labels["status"], sample.labels["reason"], sample.labels["param"]) == (
        str(status),
        reason,
        param,
    )
    assert SECRET not in text + json.dumps(line)


async def test_whatever_clients_send_the_reasons_are_few(client: httpx.AsyncClient) -> None:
    for number in range(50):
        await client.post("/v1/chat/completions", json=CHAT | {f"field-{number}": 1})
        await client.post("/v1/chat/completions", json=CHAT | {"model": f"model-{number}"})
        await client.get(f"/{number}")
        await client.request(f"M{number}", "/v1/models")
    text = (await client.get("/metrics")).text
    assert (
        len([line for line in text.splitlines() if line.startswith("scenario_model_requests_refused_total")])
        == 4
    )


async def test_an_exception_logged_by_the_engine_keeps_its_message_to_itself(
    log_lines: LogLines,
) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("scenario_model.serve.engine.engine").exception("a step of the model failed")
    (line,) = log_lines()
    assert (line["event"], line["exception"]) == ("a step of the model failed", "ValueError")
    assert "test_observing.py" in line["where"][-1]
    assert SECRET not in json.dumps(line)


async def test_healthy_checks_are_not_logged(client: httpx.AsyncClient, log_lines: LogLines) -> None:
    await client.get("/healthz")
    await client.get("/readyz")
    await client.get("/metrics")
    assert log_lines() == []


async def test_metrics_have_the_names_that_vllm_dashboards_ask_for(
    client: httpx.AsyncClient, service: Service
) -> None:
    await client.post("/v1/chat/completions", json=CHAT)
    await client.get("/nothing")
    text = (await client.get("/metrics")).text
    samples = {
        sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples
    }
    for name, value in {
        "vllm:num_requests_running": 0,
        "vllm:num_requests_waiting": 0,
        "vllm:kv_cache_usage_perc": 0,
        "vllm:generation_tokens_total": 6,
        "vllm:time_to_first_token_seconds_count": 1,
        "vllm:inter_token_latency_seconds_count": 5,
        "vllm:time_per_output_token_seconds_count": 5,
        "vllm:request_time_per_output_token_seconds_count": 1,
        "vllm:e2e_request_latency_seconds_count": 1,
        "vllm:request_success_total": 1,
        "vllm:request_prompt_tokens_count": 1,
        "vllm:request_generation_tokens_sum": 6,
        "vllm:spec_decode_num_drafts_total": 2,
        "vllm:spec_decode_num_draft_tokens_total": 7,
        "vllm:spec_decode_num_accepted_tokens_total": 5,
        "scenario_model_ready": 1,
    }.items():
        assert samples[name].value == value, name
        assert samples[name].labels["model_name"] == "assistant"
        assert samples[name].labels["release"] == service.release
    assert samples["vllm:request_success_total"].labels["finished_reason"] == "stop"
    assert 'handler="other",method="GET"' in text
    assert 'status="404"' in text


async def test_metrics_are_read_without_a_key_where_they_have_a_port_of_their_own(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = MetricsPort(port=probe.getsockname()[1])
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:{port.port}: cannot listen there for metrics"):
            gateway.metrics.listen(port)
    gateway.metrics.listen(port)
    await client.post("/v1/chat/completions", json=CHAT)
    async with httpx.AsyncClient() as other:
        told = await other.get(f"http://127.0.0.1:{port.port}/metrics")
    families = {each.name: each for each in text_string_to_metric_families(told.text)}
    assert {"vllm:num_requests_waiting", "vllm:num_requests_running", "vllm:kv_cache_usage_perc"} <= set(
        families
    )
    (answered,) = [
        each.value for each in families["vllm:generation_tokens"].samples if each.name.endswith("_total")
    ]
    assert answered > 0
    assert SECRET not in told.text
