"""A stream that is silent for a while, read by the client libraries that people use."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from scenario_model.serve.settings import Limits

if TYPE_CHECKING:
    import ssl

    from tests.model.serve.stand_in import StandInEngine

pytestmark = pytest.mark.anyio
HERE = Path(__file__).parent / "clients"
KEY = "smk_a-key-for-tests"
WANTED: dict[str, Any] = {"model": "assistant", "prompt": "Hello", "max_tokens": 4}
STREAMED = json.dumps({**WANTED, "stream": True}).encode()


@pytest.fixture
def limits() -> Limits:
    return Limits(requests_per_minute=None, keep_alive_seconds=0.1)


@pytest.fixture
async def expected(port: int, trust: ssl.SSLContext, stand_in_engine: StandInEngine) -> str:
    """The whole answer, from then on with silences that are longer than the keep-alive."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(verify=trust, headers=headers) as http:
        answer = await http.post(f"https://localhost:{port}/v1/completions", json=WANTED)
    stand_in_engine.step_seconds = 0.25
    return str(answer.json()["choices"][0]["text"])


def prepared(cache: Path, source: Path, *command: str) -> Path:
    """Copy a client's sources into the cache and prepare them there, once. Skips if that fails."""
    if not shutil.which(command[0]):
        pytest.skip(f"needs {command[0]}: install it")
    files = sorted(file for file in source.iterdir() if file.is_file())
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    folder = cache / f"client-{source.name}-{digest}"
    if not (folder / "prepared").exists():
        shutil.copytree(source, folder, dirs_exist_ok=True)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(
                f"needs a registry of packages: {(done.stderr.splitlines() or ['no reason'])[-1]:.200}"
            )
        (folder / "prepared").touch()
    return folder


async def said(command: list[str | Path], **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": str(Path(command[0]).parent), **environment},
    )
    async with asyncio.timeout(60):
        out, error = await process.communicate(STREAMED)
    assert process.returncode == 0, error.decode()
    return out.decode()


async def test_openai_python_reads_it(port: int, trust: ssl.SSLContext, expected: str) -> None:
    async with openai.DefaultAsyncHttpxClient(verify=trust) as http:
        client = openai.AsyncOpenAI(base_url=f"https://localhost:{port}/v1", api_key=KEY, http_client=http)
        stream = await client.completions.create(**WANTED, stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == expected


@pytest.mark.soak
@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_openai_go_reads_it(
    cache: Path, certificates: Path, port: int, expected: str, version: str
) -> None:
    folder = await asyncio.to_thread(prepared, cache, HERE / "go", "go", "build", "-o", "stream", ".")
    url = f"https://localhost:{port}/v1/completions"
    assert await said([folder / "stream", version, url, certificates / "ca.pem", KEY]) == expected


@pytest.mark.slow
async def test_openai_node_reads_it(cache: Path, certificates: Path, port: int, expected: str) -> None:
    install = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    folder = await asyncio.to_thread(prepared, cache, HERE / "node", *install)
    node = shutil.which("node")
    assert node is not None
    command: list[str | Path] = [node, folder / "stream.js", f"https://localhost:{port}/v1", KEY]
    assert await said(command, NODE_EXTRA_CA_CERTS=str(certificates / "ca.pem")) == expected


def go_v2_events(stream: bytes) -> list[bytes]:
    """What openai-go v2.7.1 makes of a stream: a reading of `eventStreamDecoder.Next` of its package ssestream."""
    events, data = [], b""
    for line in stream.split(b"\n"):
        if not line:
            events.append(data)
            data = b""
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            data += value.removeprefix(b" ") + b"\n"
    # A scanner ends at the last line break, and gives no empty line after it.
    return events[:-1]


@pytest.mark.parametrize("chat", [False, True])
async def test_no_event_is_empty(port: int, trust: ssl.SSLContext, expected: str, chat: bool) -> None:
    body = {"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]} if chat else WANTED
    path = "chat/completions" if chat else "completions"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(verify=trust, headers=headers) as http:
        answer = await http.post(f"https://localhost:{port}/v1/{path}", json={**body, "stream": True})
    assert answer.content.count(b": still working\n") >= 2
    *events, last = go_v2_events(answer.content)
    assert last == b"[DONE]\n"
    assert all(json.loads(event)["choices"] for event in events)
