"""A stand-in for `vllm serve`, for tests of what happens between the gateway and vLLM. It computes nothing.

It takes the arguments that the adapter gives, listens on the socket that they name, and speaks vLLM's stream
of completions over real HTTP: token number i is the text ` w<i>`. What it does not cover, an argument, a key
of a request, a stop string, it refuses loudly. `behaviour.json` beside it, read at every request, says what
goes wrong; `seen.jsonl` tells what was asked and how it ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

HOME = Path(__file__).parent
BODY = {
    "prompt",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "ignore_eos",
    "stream",
    "return_token_ids",
}
CONTEXT = 512


def behaviour() -> dict[str, Any]:
    file = HOME / "behaviour.json"
    usual = {"step_seconds": 0.0, "natural_length": 6, "status": 200, "health": 200, "first_event": None}
    return usual | (json.loads(file.read_text()) if file.exists() else {})


def note(**what: Any) -> None:
    with (HOME / "seen.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")


class StandIn:
    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._slot_count, self._running = slots, 0

    async def health(self, _: Request) -> Response:
        return Response(status_code=behaviour()["health"])

    async def metrics(self, _: Request) -> Response:
        usage = self._running / self._slot_count
        text = f'# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc{{engine="0"}} {usage}\n'
        return PlainTextResponse(text)

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "stand-in", "max_model_len": CONTEXT}]})

    async def completions(self, request: Request) -> Response:
        asked = await request.json()
        note(asked=asked)
        if set(asked) != BODY or asked["stream"] is not True or asked["return_token_ids"] is not True:
            return JSONResponse({"error": {"message": "not covered by the stand-in"}}, 501)
        if asked["stop"]:
            return JSONResponse({"error": {"message": "the stand-in has no stop strings"}}, 501)
        if (status := behaviour()["status"]) != 200:
            return JSONResponse({"error": {"message": f"as asked: {asked['prompt']}"}}, status)
        return StreamingResponse(self._events(asked), media_type="text/event-stream")

    async def _events(self, asked: dict[str, Any]) -> AsyncIterator[str]:
        how = "aborted"
        try:
            async with self._slots:
                self._running += 1
                try:
                    async for event in self._pieces(asked):
                        yield event
                finally:
                    self._running -= 1
            how = "completed"
            yield "data: [DONE]\n\n"
        finally:
            note(ended=how)

    async def _pieces(self, asked: dict[str, Any]) -> AsyncIterator[str]:
        does = behaviour()
        if does["first_event"] is not None:
            yield f"data: {does['first_event']}\n\n"
            return
        count = asked["max_tokens"]
        if not asked["ignore_eos"]:
            count = min(count, does["natural_length"])
        for i in range(count):
            await asyncio.sleep(does["step_seconds"])
            reason = None if i < count - 1 else "length" if count == asked["max_tokens"] else "stop"
            choice = {"index": 0, "text": f" w{i}", "token_ids": [i], "finish_reason": reason}
            yield f"data: {json.dumps({'id': 'cmpl-0', 'choices': [choice]})}\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model", type=Path)
    parser.add_argument("--uds", type=Path, required=True)
    parser.add_argument("--load-format", choices=["safetensors"], required=True)
    parser.add_argument("--generation-config", choices=["vllm"], required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--max-model-len", type=int, required=True)
    parser.add_argument("--max-num-seqs", type=int, required=True)
    parser.add_argument("--gpu-memory-utilization", type=float, required=True)
    parser.add_argument("--tensor-parallel-size", type=int, required=True)
    for flag in ("--no-enable-log-requests", "--disable-uvicorn-access-log", "--disable-fastapi-docs"):
        parser.add_argument(flag, action="store_true", required=True)
    options = parser.parse_args()
    print("INFO stand-in for vLLM: it computes nothing", flush=True)
    # As vLLM does: what computes is another process, which does not end with this one.
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(HOME)])
    note(process=os.getpid(), worker=worker.pid, environment=dict(os.environ))
    does = behaviour()
    time.sleep(does.get("load_seconds", 0))
    if words := does.get("load_error"):
        sys.exit(words)
    stand_in = StandIn(options.max_num_seqs)
    routes = [
        Route("/health", stand_in.health),
        Route("/metrics", stand_in.metrics),
        Route("/v1/models", stand_in.models),
        Route("/v1/completions", stand_in.completions, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes), uds=str(options.uds), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
