"""The two servers that are compared: started, asked over HTTP, held still, ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
from prometheus_client.parser import text_string_to_metric_families

from scenario_model.digests import tree_digest
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_STARTS_WITHIN = 600.0  # seconds; ours compiles first
NAME = "assistant"
"""Of the model that is served."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: text, and the token counts that the server states."""

    text: str
    prompt_tokens: int
    tokens: int


class Guessed(NamedTuple):
    """Tokens that a server guessed in drafts (prompt lookup), and how many of them were right."""

    drafted: int
    accepted: int

    def since(self, before: Guessed) -> Guessed:
        """What came after an earlier count."""
        return Guessed(self.drafted - before.drafted, self.accepted - before.accepted)


@dataclass(slots=True)
class Server:
    """A running server. `extra`: what its kind of request has beside prompt, temperature and length."""

    name: str
    process: subprocess.Popen[bytes]
    url: str
    model: str
    extra: dict[str, Any]
    headers: dict[str, str]
    verify: ssl.SSLContext | bool
    seconds_to_ready: float = 0.0

    def client(self) -> httpx.AsyncClient:
        """Return a client that keeps its connections."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            verify=self.verify,
            timeout=600,
            limits=limits,
            trust_env=False,
        )

    async def complete(self, client: httpx.AsyncClient, prompt: str, tokens: int) -> Answer:
        """Ask for exactly `tokens` greedy tokens after `prompt`."""
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0} | self.extra
        response = await client.post("/v1/completions", json=body)
        if response.status_code != 200:
            raise RuntimeError(f"{self.name}: {response.status_code} {response.text[:300]}")
        said = response.json()
        usage = said["usage"]
        return Answer(said["choices"][0]["text"], usage["prompt_tokens"], usage["completion_tokens"])

    async def guessed(self, client: httpx.AsyncClient) -> Guessed:
        """What our server's `/metrics` says of drafts so far."""
        text = (await client.get("/metrics")).raise_for_status().text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        counted = {sample.name: int(sample.value) for sample in samples if "spec_decode" in sample.name}
        return Guessed(
            counted["vllm:spec_decode_num_draft_tokens_total"],
            counted["vllm:spec_decode_num_accepted_tokens_total"],
        )

    def resident_bytes(self) -> int:
        """Memory of the process that is in RAM."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let the process run only within this: an idle server that polls must not slow the other."""
        self.process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGSTOP)

    def wait_until_ready(self, path: str, log: Path) -> None:
        """Poll until `path` answers 200. Raises RuntimeError with the end of the log if it does not."""
        began = time.monotonic()
        with httpx.Client(base_url=self.url, verify=self.verify, trust_env=False) as client:
            while time.monotonic() - began < _STARTS_WITHIN and self.process.poll() is None:
                with contextlib.suppress(httpx.TransportError):
                    if client.get(path).status_code == 200:
                        self.seconds_to_ready = time.monotonic() - began
                        return
                time.sleep(0.2)
        raise RuntimeError(f"{self.name} did not become ready:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def ours(
    checkpoint: Path, work: Path, engine: dict[str, Any], name: str = NAME, **settings: Any
) -> Iterator[Server]:
    """Run `scenario-model serve` over HTTPS, with an API key and a release that is signed here.

    `name`: of its model. `settings`: others than those of the engine.
    """
    key = secrets.token_urlsafe(32)
    work.mkdir(exist_ok=True)
    config, authority = _deploy(checkpoint, work, key, {"name": name, "engine": engine, **settings})
    port = int(json.loads(config.read_text())["port"])
    command = [sys.executable, "-m", "scenario_model", "serve", "--config", str(config)]
    with running(command, work / "ours.log") as process:
        server = Server(
            name="scenario-model serve",
            process=process,
            url=f"https://127.0.0.1:{port}",
            model=name,
            extra={"ignore_eos": True},
            headers={"Authorization": f"Bearer {key}"},
            verify=ssl.create_default_context(cafile=str(authority)),
        )
        server.wait_until_ready("/readyz", work / "ours.log")
        yield server


@contextlib.contextmanager
def transformers_serve(checkpoint: Path, work: Path, dtype: str, cache_tokens: int) -> Iterator[Server]:
    """Run `transformers serve --continuous-batching`, with a cache of as many tokens as ours."""
    port, block = free_port(), 32
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--continuous-batching"]
    command += ["--dtype", dtype, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--cb-block-size", str(block), "--cb-num-blocks", str(cache_tokens // block), str(checkpoint)]
    with running(command, work / "peer.log") as process:
        server = Server(
            name="transformers serve",
            process=process,
            url=f"http://127.0.0.1:{port}",
            model=str(checkpoint),
            # An end token that there is not: the answer goes on to its full length.
            extra={"generation_config": json.dumps({"eos_token_id": -1, "do_sample": False})},
            headers={},
            verify=False,
        )
        server.wait_until_ready("/health", work / "peer.log")
        yield server


def _deploy(checkpoint: Path, work: Path, key: str, told: dict[str, Any]) -> tuple[Path, Path]:
    """Sign and promote a release of the checkpoint; return serve.json and the CA's certificate."""
    draft, store = work / "draft", FolderStore(work / "store")
    shutil.copytree(checkpoint, draft, ignore=shutil.ignore_patterns("foundation.json"))
    manifest = {"format": 1, "name": told["name"], "evaluation": {"passed": True, "reasons": []}}
    (draft / "release.json").write_text(json.dumps(manifest))
    release = f"{told['name']}@{tree_digest(draft)}"
    private, public = work / "signing.pem", work / "verification.pem"
    keys.create_pair(private, public)
    sign_directory(draft, private)
    store.upload(release, draft)
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    channel.promote(store, release, "stable", keys.load_private(private), at=at, by="benchmark")
    _scenario_model("credentials", "--out", work / "tls", "--host", "127.0.0.1", "--host", "localhost")
    api_keys = work / "api_keys.json"
    api_keys.write_text(json.dumps({"keys": [{"id": "bench", "sha256": sha256(key.encode()).hexdigest()}]}))
    api_keys.chmod(0o600)
    config = work / "serve.json"
    settings = {
        "store": str(work / "store"),
        "verification_key": str(public),
        "port": free_port(),
        "tls": {
            "certificate": str(work / "tls" / "server.pem"),
            "private_key": str(work / "tls" / "server.key"),
        },
        "api_keys": str(api_keys),
        "limits": {"requests_per_minute": None},
        "cache": str(work / "cache"),
        **told,
    }
    config.write_text(json.dumps(settings))
    return config, work / "tls" / "ca.pem"


def _scenario_model(*arguments: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "scenario_model", *arguments], check=True, stdout=subprocess.DEVNULL
    )


@contextlib.contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, its output in a file; it ends with the block."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port of the loopback that nobody listens at now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
