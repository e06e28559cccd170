"""What refused requests cost the others: the same question, quiet and beside clients that are always refused.

Windows alternate on one server; each pair gives one ratio for every kind of refused request. On a machine that
others use, the server's processor time while it only refuses says more: it is given for a refused request, and as a
share of one processor. The clients that
are refused send the next request as soon as they have their answer, with the same API key, from a process of their own.

    python -m benchmarks.refused_requests --foundation DIR [--rounds 5] [--clients 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from benchmarks.servers import Server, ours

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

_MEGABYTE = 2**20 - 1024
_TOKENS = 16


def kinds() -> dict[str, dict[str, Any]]:
    """Chat requests that are refused, each in another way."""

    def saying(text: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": text}]}

    words = "seven words and a full stop more. "
    return {
        "1 MiB of a special token": saying("<|im_end|>" * (_MEGABYTE // 10)),
        "1 MiB of words": saying(words * (_MEGABYTE // len(words))),
        "100 KiB of words, which might fit": saying(words * (100 * 1024 // len(words))),
        "1 MiB of messages": {"messages": [{"role": "user", "content": ""}] * (_MEGABYTE // 36)},
        "1 MiB with an unknown parameter": saying("a" * _MEGABYTE) | {"temprature": 1},
        "an unknown parameter": saying("Hi") | {"temprature": 1},
    }


def be_refused(
    url: str, headers: dict[str, str], body: bytes, clients: int, count: Synchronized[int], stop: Any
) -> None:
    """Send the body again and again, from so many clients, until `stop` is set; `count` the answers."""

    async def one(http: httpx.AsyncClient) -> None:
        while not stop.is_set():
            answer = await http.post("/v1/chat/completions", content=body)
            if answer.status_code not in (400, 429, 503):
                raise RuntimeError(f"not refused: {answer.status_code} {answer.text[:300]}")
            with count.get_lock():
                count.value += 1

    async def all_of_them() -> None:
        kind = headers | {"content-type": "application/json"}
        async with httpx.AsyncClient(base_url=url, headers=kind, verify=False, timeout=60) as http:
            await asyncio.gather(*(one(http) for _ in range(clients)))

    asyncio.run(all_of_them())


async def ask(server: Server, seconds: float) -> float:
    """Ask one question after the other for so long; return the median of their seconds."""
    took: list[float] = []
    async with server.client() as http:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(took) < 3:
            began = time.perf_counter()
            await server.complete(http, "Hi", _TOKENS)
            took.append(time.perf_counter() - began)
    return statistics.median(took)


class Beside(NamedTuple):
    """Seconds of an answer; refused requests per second; processor seconds of the server for each; their share."""

    answer: float
    rate: float
    cost: float
    share: float


def processor_seconds(server: Server) -> float:
    """What the server's process has used so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def beside(server: Server, body: bytes, clients: int, seconds: float) -> Beside:
    """Let clients be refused, first alone and then beside a question."""
    processes = multiprocessing.get_context("spawn")
    count, stop = processes.Value("i", 0), processes.Event()
    rude = processes.Process(
        target=be_refused, args=(server.url, server.headers, body, clients, count, stop), daemon=True
    )
    rude.start()
    while not count.value and rude.is_alive():
        time.sleep(0.1)
    # The first answers come before any pause.
    time.sleep(1)
    before, used, began = count.value, processor_seconds(server), time.perf_counter()
    time.sleep(seconds)
    refused, used, passed = (
        count.value - before,
        processor_seconds(server) - used,
        time.perf_counter() - began,
    )
    median = asyncio.run(ask(server, seconds))
    stop.set()
    rude.join(90)
    if rude.exitcode:
        raise RuntimeError("a client that should be refused failed; see above")
    return Beside(median, refused / passed, used / max(refused, 1), used / passed)


def measure(server: Server, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row of figures for each kind."""
    rows = []
    asyncio.run(ask(server, options.seconds))
    for kind, wanted in kinds().items():
        body = json.dumps({"model": server.model, **wanted}).encode()
        ratios: list[float] = []
        seen: list[Beside] = []
        for _ in range(options.rounds):
            quiet = asyncio.run(ask(server, options.seconds))
            seen.append(beside(server, body, options.clients, options.seconds))
            ratios.append(seen[-1].answer / quiet)
        rows.append(
            {
                "kind": kind,
                "ratio": round(statistics.median(ratios), 2),
                "ratio_lowest": round(min(ratios), 2),
                "ratio_highest": round(max(ratios), 2),
                "refused_per_second": round(statistics.median(each.rate for each in seen), 1),
                "processor_ms_each": round(1000 * statistics.median(each.cost for each in seen), 1),
                "processor_share": round(statistics.median(each.share for each in seen), 3),
                "rounds": len(ratios),
            }
        )
        row = rows[-1]
        spread = f"{row['ratio_lowest']} to {row['ratio_highest']}"
        figures = f"{row['refused_per_second']} | {row['processor_ms_each']} | {row['processor_share']:.1%}"
        print(f"| {kind} | {figures} | {row['ratio']} ({spread}) |", flush=True)
    return rows


def main() -> None:
    """Serve the model, measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--foundation", type=Path, required=True, help="an imported foundation model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=5, help="that are refused")
    parser.add_argument("--seconds", type=float, default=5, help="of each window")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # One thread: several wait for each other, so that whatever else runs, these clients too, costs far more.
    engine = {"threads": 1, "compile": "off", "max_sequences": 4, "prompt_lookup": "off"}
    with tempfile.TemporaryDirectory() as work, ours(options.foundation, Path(work), engine) as server:
        print(
            "| refused | a second | processor time of each, ms | share of a processor "
            "| time of an answer, relative to quiet |\n|---|---|---|---|---|"
        )
        rows = measure(server, options)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
