"""What `serve.json` may say, with the defaults that a small premises wants."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003  (config.load reads the annotations)
from typing import Annotated

from scenario_model import config
from scenario_model.config import Range
from scenario_model.errors import InputError
from scenario_model.serve.engine.interface import EngineSettings
from scenario_model.serve.vllm.settings import VllmSettings  # noqa: TC001  (as above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files: the server's certificate (with its chain) and its private key."""

    certificate: Path
    private_key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may take from the others. Seconds and bytes; None switches a rate off.

    body_bytes: size of a request. connections: at once; more are answered 503.
    requests_per_minute, tokens_per_minute: for each key; a key over its rate is answered 429. Tokens are
    charged when they are known, so that one request may overdraw and the next ones wait.
    header_seconds, body_seconds: for a request's head and body to arrive, against slow senders.
    stall_seconds: for a reader to take what is written to it; then it is cut off and its slot is freed.
    keep_alive_seconds: silence after which a stream gets a comment line, so that proxies keep it open.
    idle_seconds: a connection without a request is closed.
    """

    body_bytes: Annotated[int, Range(1024, 64 * 2**20)] = 2**20
    connections: Annotated[int, Range(1, 100_000)] = 256
    requests_per_minute: Annotated[int | None, Range(1)] = 600
    tokens_per_minute: Annotated[int | None, Range(1)] = None
    header_seconds: Annotated[float, Range(above=0)] = 10.0
    body_seconds: Annotated[float, Range(above=0)] = 20.0
    stall_seconds: Annotated[float, Range(above=0)] = 20.0
    keep_alive_seconds: Annotated[float, Range(above=0)] = 15.0
    idle_seconds: Annotated[float, Range(above=0)] = 75.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """`serve.json`: which release of which store is served, where, to whom.

    store: a folder, or s3://bucket/prefix. name, channel: the release that the channel names at start-up;
    `release` (`name@sha256:…`), where given, is served whatever the channel names. verification_key: PEM; a
    release that it did not sign is refused. api_keys: JSON file of hashed keys. engine: the bundled one
    (`kind: torch`, if none is named) or vLLM. cache: folder for compiled code.
    drain_seconds: after SIGTERM, what was accepted may take this long to finish.
    """

    store: str
    name: str
    channel: str = "stable"
    release: str | None = None
    verification_key: Path
    host: str = "127.0.0.1"
    port: Annotated[int, Range(0, 65535)] = 8443
    tls: Tls
    api_keys: Path
    limits: Limits = field(default_factory=Limits)
    engine: EngineSettings | VllmSettings = field(default_factory=EngineSettings)
    cache: Path | None = None
    drain_seconds: Annotated[float, Range(0, 600)] = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedKey:
    """An API key as the server knows it: a name for logs, and the SHA-256 (hex) of the key itself."""

    id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeys:
    """The file that `api_keys` names. One key per client makes logs and limits tell them apart."""

    keys: tuple[HashedKey, ...]


def load_api_keys(path: Path) -> ApiKeys:
    """Read the file of hashed keys. Raises InputError if it is unreadable, empty, or malformed."""
    api_keys = config.load_file(ApiKeys, path)
    if not api_keys.keys:
        raise InputError("no key in it: nobody could ask anything", where=str(path), remedy="add a key")
    names = [key.id for key in api_keys.keys]
    for position, key in enumerate(api_keys.keys):
        if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
            raise InputError(
                f"key 'keys[{position}].sha256' is no SHA-256",
                where=str(path),
                remedy="write the SHA-256 of the API key as 64 lower-case hexadecimal digits",
            )
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key.id) or names.count(key.id) > 1:
            raise InputError(
                f"key 'keys[{position}].id' is {key.id!r}",
                where=str(path),
                remedy="give each key a name of its own: 1 to 64 letters, digits, '_', '.', '-'",
            )
    return api_keys
