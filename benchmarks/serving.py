"""Our server beside `transformers serve --continuous-batching`: same checkpoint, same tokens in, as many out.

Greedy. Both servers run on this machine, started once; measurements alternate between them, and the one
that is not asked is stopped (SIGSTOP) meanwhile, so that whatever else the machine does meets both alike. One
client program asks both. Ours does TLS, checks an API key and has verified a signed release; the peer does
neither. A round gives one ratio for every number of clients; the spread over the rounds is shown. Every round
has other prompts, until all were used.

Ours guesses tokens by prompt lookup where few answers are made at once (`--lookup off`: it does not). What
that gains depends on the prompts (`benchmarks.prompt_lookup`), so how often it was right stands beside each ratio.

    python -m benchmarks.serving --foundation DIR [--rounds 5] [--json FILE] [--markdown FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pydoc_data.topics
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from tokenizers import Tokenizer

from benchmarks.machine import matmul_speed, read_bandwidth
from benchmarks.servers import Answer, Guessed, Server, ours, transformers_serve

# The slots and the context of our cache; the peer's holds as many tokens.
_SLOTS, _CONTEXT = 16, 1024


@dataclass
class Measured:
    """Tokens per second, for one number of clients: one figure a round for each server."""

    clients: int
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)
    agreement: list[float] = field(default_factory=list)
    tokens: int = 0
    guessed: list[Guessed] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Medians, and the ratio with its spread."""
        drafted, accepted = (sum(counts) for counts in zip(*self.guessed, strict=True))
        ratios = [mine / theirs for mine, theirs in zip(self.ours, self.peer, strict=True)]
        return {
            "clients": self.clients,
            "ours_tokens_per_s": round(statistics.median(self.ours), 1),
            "peer_tokens_per_s": round(statistics.median(self.peer), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_lowest": round(min(ratios), 2),
            "ratio_highest": round(max(ratios), 2),
            "rounds": len(ratios),
            "same_until": round(statistics.mean(self.agreement), 3),
            "drafted_tokens": drafted,
            "drafts_right": round(accepted / max(drafted, 1), 3),
            "tokens_guessed": round(accepted / self.tokens, 3),
        }


def prompts(tokenizer: Tokenizer, length: int) -> list[str]:
    """Texts of `length` tokens each, out of Python's language reference; tokenised again, the same tokens."""
    found = []
    for topic in sorted(pydoc_data.topics.topics):
        ids = tokenizer.encode(pydoc_data.topics.topics[topic]).ids[:length]
        text = tokenizer.decode(ids)
        if len(ids) == length and tokenizer.encode(text).ids == ids:
            found.append(text)
    if not found:
        raise ValueError(f"there is no topic that begins with {length} tokens")
    return found


def guessed_by(server: Server) -> Guessed:
    """Read our server's counters."""

    async def read() -> Guessed:
        async with server.client() as client:
            return await server.guessed(client)

    with server.awake():
        return asyncio.run(read())


async def ask_all(server: Server, texts: list[str], clients: int, tokens: int) -> tuple[float, list[Answer]]:
    """Share the prompts out; every client asks one after the other.

    Returns seconds until the last answer has ended, and the answers in the order of the prompts.
    """
    answers: dict[int, Answer] = {}
    async with server.client() as connections:

        async def ask(first: int) -> None:
            for number in range(first, len(texts), clients):
                answers[number] = await server.complete(connections, texts[number], tokens)

        began = time.perf_counter()
        await asyncio.gather(*map(ask, range(clients)))
        return time.perf_counter() - began, [answers[number] for number in range(len(texts))]


def check(server: Server, answers: list[Answer], prompt_tokens: int, tokens: int) -> None:
    """Raise ValueError unless every answer is of as many tokens, in and out, as was asked for."""
    counted = {(answer.prompt_tokens, answer.tokens) for answer in answers}
    if counted != {(prompt_tokens, tokens)}:
        raise ValueError(f"{server.name} took and gave {counted} tokens instead of {prompt_tokens}, {tokens}")


def same_until(tokenizer: Tokenizer, mine: Answer, theirs: Answer) -> float:
    """Share of the answer's tokens before the first that differs."""
    first, second = tokenizer.encode(mine.text).ids, tokenizer.encode(theirs.text).ids
    pairs = list(zip(first, second, strict=False))
    common = next((at for at, (one, other) in enumerate(pairs) if one != other), len(pairs))
    return common / max(len(first), len(second), 1)


def measure(
    servers: tuple[Server, Server], tokenizer: Tokenizer, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Alternate between the servers; the one that goes first changes every round."""
    results = [Measured(clients) for clients in options.clients]
    known = prompts(tokenizer, options.prompt_tokens)
    for number in range(-1, options.rounds):  # the first, not counted, warms both up
        for result in results:
            count = result.clients * options.each
            texts = [known[at % len(known)] for at in range((number + 1) * count, (number + 2) * count)]
            speeds, answers = {}, {}
            before = guessed_by(servers[0])
            for server in servers if number % 2 else servers[::-1]:
                with server.awake():
                    seconds, answers[server.name] = asyncio.run(
                        ask_all(server, texts, result.clients, options.tokens)
                    )
                check(server, answers[server.name], options.prompt_tokens, options.tokens)
                speeds[server.name] = count * options.tokens / seconds
            if number < 0:
                continue
            mine, theirs = (answers[server.name] for server in servers)
            result.guessed.append(guessed_by(servers[0]).since(before))
            result.tokens += count * options.tokens
            result.ours.append(speeds[servers[0].name])
            result.peer.append(speeds[servers[1].name])
            result.agreement += [same_until(tokenizer, *pair) for pair in zip(mine, theirs, strict=True)]
            last = f"{result.ours[-1]:.1f} and {result.peer[-1]:.1f} tokens/s"
            print(f"round {number + 1}, {result.clients} clients: {last}", flush=True)
    return [result.summary() for result in results]


def ceilings(foundation: Path, weights: str) -> dict[str, float]:
    """What memory and arithmetic allow, in tokens per second, if nothing else took time."""
    parameters = 0
    with safe_open(foundation / "model.safetensors", framework="pt") as stored:
        for name in stored.keys():  # noqa: SIM118 - it is no mapping
            shape = stored.get_slice(name).get_shape()
            parameters += shape[0] * shape[1] if len(shape) == 2 else 0
    bandwidth, size = read_bandwidth(), {"int8": 1, "bf16": 2, "fp32": 4}
    figures = {
        "read_gb_per_s": bandwidth / 1e9,
        "one_stream_by_memory": bandwidth / parameters / size[weights],
        "one_stream_by_memory_bf16": bandwidth / parameters / 2,
    }
    for name, dtype in {"int8": torch.int8, "bf16": torch.bfloat16, "fp32": torch.float32}.items():
        figures[f"{name}_gops"] = matmul_speed(dtype) / 1e9
        figures[f"many_streams_by_{name}_arithmetic"] = figures[f"{name}_gops"] * 1e9 / parameters / 2
    return {name: round(value, 1) for name, value in figures.items()}


def report(results: list[dict[str, Any]], machine: dict[str, Any], memory: dict[str, int]) -> str:
    """The figures as Markdown."""
    columns = ["clients", "ours, tokens/s", "transformers serve, tokens/s", "ratio (spread)"]
    columns += ["guesses right", "tokens guessed", "same text until"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [
        f"| {r['clients']} | {r['ours_tokens_per_s']} | {r['peer_tokens_per_s']} "
        f"| {r['ratio']:.2f} ({r['ratio_lowest']:.2f} to {r['ratio_highest']:.2f}) "
        f"| {r['drafts_right']:.0%} of {r['drafted_tokens']} | {r['tokens_guessed']:.0%} "
        f"| {r['same_until']:.0%} |"
        for r in results
    ]
    resident = ", ".join(f"{name} {size / 2**30:.1f} GiB" for name, size in memory.items())
    lines += ["", f"Resident memory: {resident}.", "", "| this machine now | |", "|---|---|"]
    return "\n".join(lines + [f"| {name.replace('_', ' ')} | {value} |" for name, value in machine.items()])


def main() -> None:
    """Start both servers, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--foundation", type=Path, required=True, help="an imported foundation model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--each", type=int, default=4, help="prompts of a client, one after the other")
    parser.add_argument("--prompt-tokens", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=48, help="length of every answer")
    parser.add_argument("--weights", default="int8", choices=["int8", "bf16", "fp32"])
    parser.add_argument("--compile", default="on", choices=["on", "off"])
    parser.add_argument("--lookup", default="auto", choices=["auto", "on", "off"])
    parser.add_argument("--peer-dtype", default="bfloat16")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--markdown", type=Path, help="also write the table here")
    options = parser.parse_args()
    foundation = options.foundation.resolve()
    tokenizer = Tokenizer.from_file(str(foundation / "tokenizer.json"))
    machine: dict[str, Any] = {"cores": os.cpu_count(), "torch": torch.__version__}
    machine |= ceilings(foundation, options.weights)
    engine = {"weights": options.weights, "compile": options.compile, "prompt_lookup": options.lookup}
    engine |= {"max_sequences": _SLOTS, "max_context": _CONTEXT}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mine = stack.enter_context(ours(foundation, work, engine))
        peer = stack.enter_context(
            transformers_serve(foundation, work, options.peer_dtype, _SLOTS * _CONTEXT)
        )
        results = measure((mine, peer), tokenizer, options)
        memory = {server.name: server.resident_bytes() for server in (mine, peer)}
        machine |= {
            f"{server.name} ready after s": round(server.seconds_to_ready, 1) for server in (mine, peer)
        }
    machine["load"] = round(os.getloadavg()[0], 1)
    table = report(results, machine, memory)
    if options.json:
        figures = {"machine": machine, "memory": memory, "results": results}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if options.markdown:
        options.markdown.write_text(table + "\n")
    print(table)


if __name__ == "__main__":
    main()
