"""Serving and training beside other work: tokens/s with 0, 1, 2 and 4 processes that keep a core busy each.

Every figure is of a process of its own. Settings of the OpenMP runtime alternate within each number of neighbours:

    python -m benchmarks.busy_neighbours --foundation DIR [--neighbours 0 1 2 4] [--cases 1 8 train] [--rounds 3]
        [--settings GOMP_SPINCOUNT=1000 OMP_WAIT_POLICY=passive]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKENS = {1: 96, 8: 48}
_PROMPT = "Explain how a bicycle stays upright."


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Neighbours that want a core each, as a program that never waits does."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def serve(foundation: Path, streams: int) -> dict[str, float]:
    """Tokens/s of all streams together, and seconds to the first token, after a warm-up."""
    from scenario_model.serve.engine import Engine, GenerationRequest, TorchSettings

    tokens = _TOKENS.get(streams, 48)
    settings = TorchSettings(
        compile="on", max_sequences=max(streams, 2), max_context=1024, prompt_lookup="off"
    )
    engine = Engine(foundation, settings)
    engine.start()
    prompt = tuple(engine.tokenizer(_PROMPT)["input_ids"])

    async def ask(count: int) -> tuple[float, float]:
        begun, first = time.perf_counter(), []

        async def one() -> int:
            request = GenerationRequest(prompt=prompt, max_tokens=count, ignore_eos=True)
            done = 0
            async for delta in await engine.submit(request):
                if not done:
                    first.append(time.perf_counter() - begun)
                done += delta.tokens
            return done

        done = sum(await asyncio.gather(*(one() for _ in range(streams))))
        return done / (time.perf_counter() - begun), statistics.median(first)

    asyncio.run(ask(8))
    speed, first = asyncio.run(ask(tokens))
    engine.stop()
    return {"tokens_per_s": speed, "first_token_s": first}


def train(foundation: Path) -> dict[str, float]:
    """Tokens/s of adapters' training, bf16 if this machine is faster so."""
    import torch

    from scenario_model.train.batches import MicroBatch
    from scenario_model.train.hardware import bf16_is_faster
    from scenario_model.train.model import load_model
    from scenario_model.train.settings import Recipe

    model = load_model(foundation, Recipe(), bf16=bf16_is_faster(torch.device("cpu")))
    tokens = torch.arange(512).unsqueeze(0)
    batch = MicroBatch(tokens, tokens.roll(-1, 1), tokens.clone(), (512,))
    model(batch).backward()
    begun = time.perf_counter()
    for _ in range(3):
        model(batch).backward()
    return {"tokens_per_s": 3 * 512 / (time.perf_counter() - begun)}


def measured(arguments: list[str], setting: str) -> dict[str, float]:
    """What a process of its own measures with these of its environment: "A=1,B=2", or none."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    pairs = dict(pair.split("=", 1) for pair in setting.split(",") if pair)
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.busy_neighbours", *arguments],
        env=own | pairs,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print one line per case, number of neighbours and setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--foundation", type=Path, required=True)
    parser.add_argument("--neighbours", type=int, nargs="*", default=[0, 1, 2, 4])
    parser.add_argument("--cases", nargs="*", default=["1", "8", "train"], help="streams, or train")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", nargs="*", default=[])
    parser.add_argument("--one", help="measure one case here: train, or a number of streams")
    wanted = parser.parse_args()
    if case := wanted.one:
        print(
            json.dumps(train(wanted.foundation) if case == "train" else serve(wanted.foundation, int(case)))
        )
        return
    for case in wanted.cases:
        for count in wanted.neighbours:
            found: dict[str, list[dict[str, float]]] = {setting: [] for setting in ("", *wanted.settings)}
            with busy(count):
                for _ in range(wanted.rounds):
                    for setting, rounds in found.items():
                        rounds.append(
                            measured(["--foundation", str(wanted.foundation), "--one", case], setting)
                        )
            for setting, rounds in found.items():
                speeds = sorted(each["tokens_per_s"] for each in rounds)
                first = statistics.median(each.get("first_token_s", 0.0) for each in rounds)
                name = "training" if case == "train" else f"{case} streams"
                print(
                    f"{name}, {count} neighbours, {setting or 'as it is'}: "
                    f"{statistics.median(speeds):.1f} tokens/s ({speeds[0]:.1f}-{speeds[-1]:.1f}), "
                    f"first token {first:.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
