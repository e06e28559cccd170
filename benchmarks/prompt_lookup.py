"""The engine with and without prompt lookup: speed, how often it guessed right, whether answers differ.

In one process, without HTTP. The same engine answers every group of prompts both ways, in alternating order.
What lookup gains depends on how much answers repeat their prompts and themselves, hence four kinds:
`general`, ordinary questions; `ask`, questions about Python's language reference; `explain`, passages of it
to be explained (these three as chats); `continue`, beginnings of topics, as `benchmarks.serving` has them.

    python -m benchmarks.prompt_lookup --foundation DIR [--clients 1 4] [--temperature 0] [--prompts 10] [--tokens N]
"""

from __future__ import annotations

import argparse
import asyncio
import pydoc_data.topics
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenario_model.serve.engine import Engine, GenerationRequest, TorchSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUESTIONS = (
    "Why is the sky blue?",
    "Write a short letter to a landlord about a broken heater.",
    "What are three good habits for sleeping well?",
    "Explain how a bicycle stays upright.",
    "Tell me a short story about a fox and a river.",
    "What is the difference between weather and climate?",
    "Give me a recipe for pancakes.",
    "How do vaccines work?",
    "Who was Marie Curie?",
    "Write a poem about autumn.",
    "How can I learn to play the guitar?",
    "What causes the tides?",
    "Describe the city of Lisbon.",
    "Explain inflation to a child.",
    "What is photosynthesis?",
    "Plan a weekend in Vienna.",
    "Summarise the plot of Romeo and Juliet.",
    "How does a refrigerator work?",
    "What should I pack for a hike in the mountains?",
    "Write an email asking for a day off.",
)
# Characters of a passage, and tokens of a beginning.
_PASSAGE, _BEGINNING = 700, 40

Answers = list[tuple[str, int]]


def prompts(tokenizer: Any, count: int) -> dict[str, list[tuple[int, ...]]]:
    """Up to `count` prompts (token ids) of every kind; the topics are drawn with a fixed seed."""
    texts = pydoc_data.topics.topics
    topics = sorted(topic for topic, text in texts.items() if len(text) > _PASSAGE)
    random.Random(2).shuffle(topics)
    asked, explained, continued = (topics[at : at + count] for at in (0, count, 2 * count))
    chats = {
        "general": list(_QUESTIONS[:count]),
        "ask": [f"What does Python's language reference say about {topic!r}? Explain it." for topic in asked],
        "explain": [f"Explain this passage:\n\n{texts[topic][:_PASSAGE]}" for topic in explained],
    }
    found = {kind: [_chat(tokenizer, text) for text in chat] for kind, chat in chats.items()}
    found["continue"] = [tuple(tokenizer(texts[topic])["input_ids"][:_BEGINNING]) for topic in continued]
    return found


def _chat(tokenizer: Any, text: str) -> tuple[int, ...]:
    message = [{"role": "user", "content": text}]
    whole = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    return tuple(tokenizer(whole, add_special_tokens=False)["input_ids"])


async def ask_all(engine: Engine, requests: list[GenerationRequest]) -> tuple[float, Answers]:
    """Send all at once. Returns seconds until the last has ended, and text and length of every answer."""

    async def ask(request: GenerationRequest) -> tuple[str, int]:
        deltas = [delta async for delta in await engine.submit(request)]
        return "".join(delta.text for delta in deltas), sum(delta.tokens for delta in deltas)

    began = time.perf_counter()
    answers = await asyncio.gather(*map(ask, requests))
    return time.perf_counter() - began, list(answers)


def compare(engine: Engine, groups: Iterator[list[GenerationRequest]]) -> str:
    """Let the engine answer each group both ways; return a row of figures."""
    seconds, tokens = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    ratios, count, different, before = [], 0, 0, engine.statistics()
    for number, group in enumerate(groups):
        speeds, said = {}, {}
        for lookup in (True, False) if number % 2 else (False, True):
            engine.lookup = lookup
            took, said[lookup] = asyncio.run(ask_all(engine, group))
            length = sum(length for _, length in said[lookup])
            seconds[lookup] += took
            tokens[lookup] += length
            speeds[lookup] = length / took
        ratios.append(speeds[True] / speeds[False])
        count += len(group)
        different += sum(one != other for one, other in zip(said[True], said[False], strict=True))
    now = engine.statistics()
    drafted = now.tokens_drafted_total - before.tokens_drafted_total
    accepted = now.tokens_accepted_total - before.tokens_accepted_total
    off, on = tokens[False] / seconds[False], tokens[True] / seconds[True]
    spread = f"median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
    return (
        f"{off:.1f} | {on:.1f} | {on / off:.2f} ({spread}) "
        f"| {accepted / max(drafted, 1):.0%} of {drafted} | {accepted / tokens[True]:.0%} "
        f"| {different} of {count}"
    )


def main() -> None:
    """Load the engine, compiled, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--foundation", type=Path, required=True, help="an imported foundation model")
    parser.add_argument("--weights", default="int8", choices=["int8", "bf16", "fp32"])
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--prompts", type=int, default=10, help="of every kind, at most 20")
    parser.add_argument("--tokens", type=int, default=128, help="length of an answer, at most")
    options = parser.parse_args()
    settings = TorchSettings(weights=options.weights, compile="on", max_sequences=16, max_context=1024)
    with tempfile.TemporaryDirectory() as cache:
        engine = Engine(options.foundation.resolve(), settings, Path(cache) / "compiled")
        engine.start()
        print(
            "| prompts | clients | without, tokens/s | with, tokens/s | ratio (groups) | guesses right "
            "| tokens guessed | answers that differ |\n|---|---|---|---|---|---|---|---|"
        )
        for clients in options.clients:
            for kind, found in prompts(engine.tokenizer, options.prompts).items():
                requests = [
                    GenerationRequest(
                        prompt=prompt,
                        max_tokens=options.tokens,
                        temperature=options.temperature,
                        seed=1,
                        ignore_eos=kind == "continue",
                    )
                    for prompt in found
                ]
                # Once, not counted: what is slow the first time.
                asyncio.run(ask_all(engine, requests[:clients]))
                groups = (requests[at : at + clients] for at in range(0, len(requests), clients))
                print(f"| {kind} | {clients} | {compare(engine, groups)} |", flush=True)
        engine.stop()


if __name__ == "__main__":
    main()
