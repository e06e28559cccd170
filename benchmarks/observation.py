"""What observation costs: the same server twice, one that notes its traffic and looks for drift, and one that does not.

Requests are streamed, each a session of its own, which is the most that there is to note; windows are of ten seconds
instead of fifteen minutes. Both servers run, and a round asks one and then the other, the order turned each time. A
request's time is from its first byte to its last. Processor time is the whole server's: it shows what throughput cannot
on a machine that others use, too.

    python -m benchmarks.observation --foundation DIR [--rounds 10] [--clients 16] [--tokens 32] [--of loss]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pydoc_data.topics
import shutil
import statistics
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Tokenizer

from benchmarks.servers import ours
from benchmarks.serving import prompts
from scenario_model.drift import baseline

if TYPE_CHECKING:
    from benchmarks.servers import Server


class Round(NamedTuple):
    """Tokens per second, seconds of processor time, and the requests' seconds."""

    throughput: float
    computed: float
    took: list[float]


def with_baseline(foundation: Path, target: Path, tokenizer: Tokenizer) -> Path:
    """Copy a model, with a baseline of Python's language reference, as training leaves one in its release."""
    shutil.copytree(foundation, target)
    texts = [tokenizer.encode(text).ids for text in pydoc_data.topics.topics.values()]
    made = baseline.make(texts, tokenizer.get_vocab_size())
    assert made
    (target / baseline.FILE).parent.mkdir()
    (target / baseline.FILE).write_bytes(made.encoded())
    return target


async def measure(server: Server, texts: list[str], clients: int, tokens: int) -> Round:
    """Share the prompts out among clients."""
    took = list[float]()

    async def work(first: int) -> None:
        for text in texts[first::clients]:
            body: dict[str, Any] = {
                "model": server.model,
                "prompt": text,
                "max_tokens": tokens,
                "stream": True,
            }
            body |= {"temperature": 0, "ignore_eos": True}
            began = time.perf_counter()
            session = {"X-Session-Id": uuid.uuid4().hex}
            url = f"{server.url}/v1/completions"
            async with client.stream("POST", url, json=body, headers=session) as answer:
                answer.raise_for_status()
                async for _ in answer.aiter_bytes():
                    pass
            took.append(time.perf_counter() - began)

    async with server.client() as client:
        began, computed = time.perf_counter(), cpu_seconds(server)
        await asyncio.gather(*map(work, range(clients)))
        speed = len(texts) * tokens / (time.perf_counter() - began)
        return Round(speed, cpu_seconds(server) - computed, took)


def cpu_seconds(server: Server) -> float:
    """What all threads of a server have computed so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Start both, measure, print the ratio of throughput and the difference of latency."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--foundation", type=Path, required=True, help="an imported foundation model")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--each", type=int, default=8, help="requests of a client, one after the other")
    parser.add_argument("--tokens", type=int, default=32, help="length of every answer")
    parser.add_argument(
        "--of", choices=("observation", "loss"), default="observation", help="what to compare without"
    )
    options = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(options.foundation / "tokenizer.json"))
    known = prompts(tokenizer, 60)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = with_baseline(options.foundation.resolve(), work / "model", tokenizer)
        engine = {"max_sequences": 16, "max_context": 512, "max_waiting": 128, "prompt_lookup": "off"}
        noted = {"state": str(work / "windows"), "window_seconds": 10}
        # Of the loss alone: the other server observes, too, and computes none.
        without = {**noted, "state": str(work / "others"), "loss_share": 0} if options.of == "loss" else None
        servers = {
            "off": stack.enter_context(ours(model, work / "off", engine, observation=without)),
            "on": stack.enter_context(ours(model, work / "on", engine, observation=noted)),
        }
        found: dict[str, list[Round]] = {name: [] for name in servers}
        count = options.clients * options.each
        for number in range(-1, options.rounds):  # the first, not counted, warms up
            texts = [known[at % len(known)] for at in range((number + 1) * count, (number + 2) * count)]
            for name in ("off", "on") if number % 2 else ("on", "off"):
                done = asyncio.run(measure(servers[name], texts, options.clients, options.tokens))
                if number >= 0:
                    found[name].append(done)
        windows = len((work / "windows" / "windows.jsonl").read_text().splitlines())
    _say(found, windows, options.clients)


def _say(found: dict[str, list[Round]], windows: int, clients: int) -> None:
    print(
        f"{clients} clients, {len(found['on'])} rounds, {windows} windows noted; with observation / without it:"
    )
    pairs = list(zip(found["on"], found["off"], strict=True))
    shares = {
        "throughput": [on.throughput / off.throughput for on, off in pairs],
        "processor time": [on.computed / off.computed for on, off in pairs],
    }
    for what, each in shares.items():
        print(f"{what}: {statistics.median(each):.4f} ({min(each):.4f} to {max(each):.4f})")
    for share in (50, 99):
        on, off = (
            _quantile([each for done in found[name] for each in done.took], share) for name in ("on", "off")
        )
        print(f"p{share}: {on * 1000:.1f} ms with, {off * 1000:.1f} ms without: {(on - off) * 1000:+.1f} ms")


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
