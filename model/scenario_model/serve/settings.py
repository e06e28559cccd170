"""Settings of the server, with defaults for small premises."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from scenario_model import config
from scenario_model.config import FilePath, Kinds, Many, Positive, Seconds, Section, Text, bad_key, form
from scenario_model.errors import InputError
from scenario_model.observe.settings import Observation, ObservationHere
from scenario_model.release.settings import Id, Name
from scenario_model.serve.engine.settings import TorchSettings
from scenario_model.serve.vllm.settings import InstalledVllm, VllmSettings

if TYPE_CHECKING:
    from pathlib import Path

Port = Annotated[int, Field(ge=1, le=65535)]

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"({_LABEL}\.)*(?!\d+$){_LABEL}")


def _host(text: str) -> str:
    if not _is_name_or_address(text):
        raise bad_key(f"is {json.dumps(text)}", "write an address or a name of the host, without a port")
    return text


def _server_name(text: str) -> str:
    if not _is_name_or_address(text.removeprefix("*.")):
        raise bad_key(
            f"is {json.dumps(text)}",
            "write a name, *.domain or an address, without https://, brackets or port",
        )
    return text


def _is_name_or_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return bool(_NAME.fullmatch(text))
    return True


Host = Annotated[Text, AfterValidator(_host)]


LOCAL, MAY_LEAVE = "local", "may-leave"
DataClass = Literal["local", "may-leave"]


class Limits(Section):
    """Limits per client and for all clients."""

    body_bytes: Annotated[int, Field(ge=1024, le=64 * 2**20)] = 2**20
    """Largest request body."""
    connections: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Connections with a request in progress; a request on a further one gets 503, except health checks."""
    waiting_connections: Annotated[int, Field(ge=16, le=100_000)] = 512
    """Connections without a request in progress, new or idle; beyond these, the longest wait is ended."""
    requests_per_minute: Positive | None = 600
    """Requests per API key; more get 429; null: unlimited."""
    tokens_per_minute: Positive | None = None
    """Tokens per API key, charged when known: one request may overdraw, and later ones wait; null: unlimited."""
    waiting_prompts: Positive = 64
    """Prompts that wait to be tokenized, and large requests of one key that wait to be read; more get 503."""
    header_seconds: Seconds = 10.0
    """Timeout of a connection's first byte, of its TLS handshake and of a request's head, against slow senders."""
    body_seconds: Seconds = 20.0
    """Timeout of a request's body, against slow senders."""
    stall_seconds: Seconds = 20.0
    """Timeout of a client that does not read its answer; it is disconnected and its slot freed."""
    keep_alive_seconds: Seconds = 15.0
    """Silence after which a stream gets a comment line, so that proxies keep it open."""
    idle_seconds: Seconds = 75.0
    """Timeout of a connection without a request."""

    @property
    def all_connections(self) -> int:
        """Connections at most, of both kinds."""
        return self.connections + self.waiting_connections


class MetricsPort(Section):
    """Metrics without a key, on a port of their own: for scalers, for pickers of servers, and for a site's agent."""

    host: Host = "127.0.0.1"
    """Address to listen on; plain HTTP."""
    port: Port = 9445
    """Port to listen on."""


class Serving(Section):
    """The endpoint of the premises."""

    host: Host = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all."""
    port: Port = 8443
    """Port to listen on."""
    names: Many[Annotated[Text, AfterValidator(_server_name)]] = ()
    """Further names and addresses that clients use, for the certificate."""
    cors_origins: Many[
        Annotated[
            Text,
            form(
                r"\*|https?://[A-Za-z0-9.:\[\]-]+",
                "write *, or the scheme and host of a page, such as https://chat.example.com",
            ),
        ]
    ] = ()
    """Web pages whose scripts may call the API, such as https://chat.example.com; *: all; empty: none."""
    limits: Limits = Limits()
    engine: Annotated[TorchSettings | VllmSettings, Kinds(default="torch")] = TorchSettings()
    metrics: MetricsPort | None = None
    """A port for metrics alone; null: they are at /metrics, for clients with a key."""
    observation: Observation = Observation()
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 8.0
    """Time for accepted requests to finish after SIGTERM; those left get 503, or an error event in a stream."""


class Wake(Section):
    """How to start a hosted endpoint that has no pods while nobody uses it."""

    url: Annotated[Text, form(r"https://\S+", "write https://HOST:PORT/v1/wake")]
    """Where the catalogue takes the wish, https://HOST:PORT/v1/wake."""
    seconds: Seconds = 900.0
    """How long a request that only the endpoint can answer is held until it does."""


class LocalFirst(Section):
    """Let a hosted endpoint answer what the site cannot take now, as far as its data class allows."""

    url: Annotated[Text, form(r"https://\S+", "write https://HOST:PORT/v1")]
    """The endpoint, https://HOST:PORT/v1."""
    api_key: FilePath
    """File with the key of the endpoint."""
    authority: FilePath | None = None
    """PEM file of the endpoint's CA; null: the system's."""
    audit: FilePath
    """Folder of the audit log: each request that crosses, and its answer, by size and digest."""
    spill_at: Positive = 4
    """Requests that wait for a slot here, from which on further ones may leave."""
    connect_seconds: Seconds = 3.0
    """Timeout of the connection; the site then answers itself."""
    answer_seconds: Seconds = 120.0
    """Timeout between two pieces of an answer."""
    wake: Wake | None = None
    """How to start the endpoint if it does not answer; null: it is always there."""


class CanaryHere(Section):
    """A second release beside the one that is served, for a share of the conversations."""

    file: FilePath
    """The file that names it; empty or missing: none."""
    state: FilePath
    """Folder for how it does."""
    share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Its share of the conversations."""
    false_alarms: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    """The chance that a canary that is no worse is called worse."""


class Tls(Section):
    """The server's certificate and key, PEM files."""

    certificate: FilePath
    """Certificate with its chain."""
    private_key: FilePath
    """Private key."""


class ServeSettings(Serving):
    """The configuration file of `scenario-model serve`."""

    store: Text
    """Folder of releases, or s3://bucket/prefix."""
    name: Name
    """Name of the release."""
    channel: Name = "stable"
    """Channel that names the release at start-up."""
    release: Id | None = None
    """Serve this release, whatever the channel points at."""
    follow: FilePath | None = None
    """Serve the release that this file names. If it names another one, the server ends, to be started again."""
    verification_key: FilePath
    """PEM file; a release not signed by this key is refused."""
    tls: Tls
    api_keys: FilePath
    """JSON file of hashed API keys."""
    port: Annotated[int, Field(ge=0, le=65535)] = Serving.model_fields["port"].default
    """Port to listen on; 0: any free one."""
    engine: Annotated[TorchSettings | InstalledVllm, Kinds(default="torch")] = TorchSettings()
    cache: FilePath | None = None
    """Folder for compiled code."""
    observation: ObservationHere | None = None  # type: ignore[assignment]
    """What is noted of the traffic; null: nothing."""
    canary: CanaryHere | None = None
    """Another release to be tried beside this one; null: none ever is. Not with vLLM."""
    route: LocalFirst | None = None
    """Where requests may go that the site cannot take; null: all are computed here."""


class HashedKey(Section):
    """An API key, hashed."""

    id: Text
    """Name of the key, in logs."""
    sha256: Text
    """SHA-256 of the key itself, hex."""
    data_class: DataClass | None = None
    """Whether the texts of its requests may leave the site; local: never, whatever a request says. Default: each
    request says so in its header X-Data-Class, and without one it stays."""


class ApiKeys(Section):
    """The file in `api_keys`: use one key per client, so that logs and limits distinguish clients."""

    keys: Many[HashedKey]


def load_api_keys(path: Path) -> ApiKeys:
    """Read the file of hashed keys. Raises InputError if it is unreadable, empty, or malformed."""
    api_keys = config.load_file(ApiKeys, path)
    if not api_keys.keys:
        raise InputError("contains no API keys", where=str(path), remedy="add a key")
    names = [key.id for key in api_keys.keys]
    for position, key in enumerate(api_keys.keys):
        if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
            raise InputError(
                f"key 'keys[{position}].sha256' is not a SHA-256",
                where=str(path),
                remedy="write the SHA-256 of the API key as 64 lower-case hexadecimal digits",
            )
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key.id) or names.count(key.id) > 1:
            raise InputError(
                f"key 'keys[{position}].id' is {key.id!r}",
                where=str(path),
                remedy="give each key a unique name: 1 to 64 letters, digits, '_', '.', '-'",
            )
    return api_keys
