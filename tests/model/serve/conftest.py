"""The gateway in process, over a stand-in engine; and what the real command needs to serve a tiny model."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from scenario_model.digests import tree_digest
from scenario_model.drift import baseline
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.serve import credentials
from scenario_model.serve.gateway import Gateway
from scenario_model.serve.listener import Listener, bind, tls_context
from scenario_model.serve.service import Service
from scenario_model.serve.settings import ApiKeys, HashedKey, Limits, Tls
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory
from tests.model.serve.running_server import RunningServer, write_serve_config
from tests.model.serve.stand_in import StandInEngine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.model.serve.running_server import StartServer

KEY = "smk_a-key-for-tests"
RELEASE = "assistant@sha256:" + "ab" * 32


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def limits() -> Limits:
    return Limits(requests_per_minute=None)


@pytest.fixture
def stand_in_engine() -> StandInEngine:
    return StandInEngine()


@pytest.fixture
async def service(stand_in_engine: StandInEngine) -> Service:
    service = Service("assistant", RELEASE)
    await service.attach(stand_in_engine)
    return service


@pytest.fixture
def gateway(service: Service, limits: Limits) -> Gateway:
    hashed = HashedKey(id="default", sha256=hashlib.sha256(KEY.encode()).hexdigest())
    return Gateway(service, ApiKeys(keys=(hashed,)), limits)


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client with a valid key, straight into the application."""
    transport = httpx.ASGITransport(gateway, raise_app_exceptions=True)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://test", headers=headers) as client:
        yield client


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("credentials")
    credentials.ensure(directory, ["localhost", "127.0.0.1", "::1"])
    return directory


@pytest.fixture(scope="session")
def trust(certificates: Path) -> ssl.SSLContext:
    """What a client needs to trust the test server."""
    return ssl.create_default_context(cafile=str(certificates / "ca.pem"))


@pytest.fixture
async def port(gateway: Gateway, limits: Limits, certificates: Path) -> AsyncIterator[int]:
    """The port of a real HTTPS listener, on the test's own event loop."""
    tls = Tls(certificate=certificates / "server.pem", private_key=certificates / "server.key")
    sock = bind("127.0.0.1", 0)
    listener = Listener(gateway, limits, RELEASE)
    await listener.start(sock, tls_context(tls))
    yield sock.getsockname()[1]
    await listener.close()


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, tiny_foundation: Path, certificates: Path) -> Path:
    """A store with a signed, promoted release of the tiny model, keys and certificates."""
    return deploy(tmp_path_factory.mktemp("deployment"), tiny_foundation, certificates)


def usual_texts() -> baseline.Baseline:
    """A baseline of texts without a sense."""
    random = np.random.default_rng(1)
    made = baseline.make([random.integers(0, 300, 200) for _ in range(16)], 512)
    assert made
    return made


def deploy(root: Path, foundation: Path, certificates: Path, name: str = "assistant") -> Path:
    """Sign and promote a release of a foundation model below `root`."""
    draft = root / "draft" / name
    shutil.copytree(foundation, draft, ignore=shutil.ignore_patterns("foundation.json"))
    manifest = {"format": 1, "name": name, "evaluation": {"passed": True, "reasons": []}}
    (draft / "release.json").write_text(json.dumps(manifest))
    (draft / baseline.FILE).parent.mkdir()
    (draft / baseline.FILE).write_bytes(usual_texts().encoded())
    release = f"{name}@{tree_digest(draft)}"
    private, public = root / "release-signing.pem", root / "release-verification.pem"
    keys.create_pair(private, public)
    sign_directory(draft, private)
    store = FolderStore(root / "store")
    store.upload(release, draft)
    channel.promote(
        store, release, "stable", keys.load_private(private), at="2026-01-01T00:00:00+00:00", by="a test"
    )
    (root / "tls").symlink_to(certificates)
    return root


@pytest.fixture
def write_config(deployment: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write a serve.json; arguments replace its keys."""
    return functools.partial(write_serve_config, deployment, tmp_path)


@pytest.fixture(scope="session")
def start_server(deployment: Path, tmp_path_factory: pytest.TempPathFactory) -> StartServer:
    """Starts servers; each ends with its `with` block."""

    @contextlib.contextmanager
    def start(
        *, wait: bool = True, descriptors: int | None = None, **changes: Any
    ) -> Iterator[RunningServer]:
        config = write_serve_config(deployment, tmp_path_factory.mktemp("server"), **changes)
        server = RunningServer(deployment, config, descriptors)
        try:
            if wait:
                server.wait_until_ready()
            yield server
        finally:
            server.kill()

    return start
