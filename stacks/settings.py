"""Stack configuration -> frozen, typed Settings. Every mistake in a stack's file ends here, in one line."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic_core import ErrorDetails

PROJECT = "model-deployment-scenarios"


class SettingsError(Exception):
    """Settings that cannot be used: one line a mistake, each naming the file, the key and the remedy."""


def _mistake(text: str) -> PydanticCustomError:
    return PydanticCustomError("mistake", "{text}", {"text": text})


class _Section(BaseModel):
    """A part of the settings: immutable; an unknown key is a mistake answered with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_pydantic_would_not(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key, value in values.items():
            if key not in known:
                nearest = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
                raise _mistake(f"unknown key {key!r}; {hint}")
            if isinstance(value, bool):
                # Pydantic would take true for 1. `previewCheck` arrives as text; no other key is a boolean.
                raise _mistake(f"{key} should not be true or false; got {json.dumps(value)}")
        return values

    def as_variables(self) -> dict[str, Any]:
        """Return what the user set, for Ansible; what is left out keeps the default of the model package."""
        return self.model_dump(exclude_none=True)


# A path on the hosts; relative ones would mean something else on each of them.
HostPath = Annotated[str, StringConstraints(pattern=r"^(/|~/)", strip_whitespace=True)]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=0.5)]


class PackagedFoundation(_Section):
    """The default foundation model, SmolLM2-135M-Instruct, as carried by a locked Python package."""

    kind: Literal["packaged"] = "packaged"


class FoundationPath(_Section):
    """A foundation model of one's own: a Hugging Face directory or a GGUF file on the training host."""

    kind: Literal["directory", "gguf"]
    path: HostPath
    max_perplexity: Annotated[float, Field(gt=1)] | None = None


class PackagedData(_Section):
    """The reference of the Python language, which every Python carries; split by topic."""

    kind: Literal["python-reference"] = "python-reference"
    held_out: Share = 0.1


class DataPath(_Section):
    """Training data of one's own on the training host: chat JSONL, or a folder of plain text."""

    kind: Literal["chat", "text"]
    path: HostPath
    held_out: Share = 0.1


class Recipe(_Section):
    """How to train. What is left out keeps the default of the model package."""

    method: Literal["lora", "full"] | None = None
    rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    alpha: Annotated[float, Field(gt=0, le=65536)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    warmup: Annotated[float, Field(ge=0, le=1)] | None = None
    weight_decay: Annotated[float, Field(ge=0, le=1)] | None = None
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    epochs: Annotated[int, Field(ge=1, le=10000)] | None = None
    max_steps: Positive | None = None
    sequence_length: Annotated[int, Field(ge=16, le=131072)] | None = None
    tokens_per_step: Annotated[int, Field(ge=16)] | None = None
    micro_batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    seed: NotNegative | None = None
    checkpoint_every_steps: Positive | None = None
    dtype: Literal["auto", "bf16", "fp32"] | None = None
    strategy: Literal["auto", "ddp", "fsdp"] | None = None
    recompute: bool | None = None


class Gate(_Section):
    """What a trained model must reach to be promoted. What is left out keeps the model package's default."""

    minimum_gain: Annotated[float, Field(ge=0)] | None = None
    old_domain_margin: Annotated[float, Field(ge=0)] | None = None
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] | None = None
    resamples: Annotated[int, Field(ge=100, le=100_000)] | None = None
    seed: NotNegative | None = None


class Limits(_Section):
    """What one client, and all together, may take from the server."""

    body_bytes: Annotated[int, Field(ge=1024, le=64 * 2**20)] | None = None
    connections: Annotated[int, Field(ge=1, le=100_000)] | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    header_seconds: Seconds | None = None
    body_seconds: Seconds | None = None
    stall_seconds: Seconds | None = None
    keep_alive_seconds: Seconds | None = None
    idle_seconds: Seconds | None = None


class Engine(_Section):
    """How the model is run."""

    weights: Literal["auto", "int8", "bf16", "fp32"] | None = None
    compile: Literal["auto", "on", "off"] | None = None
    threads: Positive | None = None
    max_sequences: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_context: Annotated[int, Field(ge=2)] | None = None
    max_waiting: NotNegative | None = None
    prefill_tokens: Positive | None = None
    lookup: Literal["auto", "on", "off"] | None = None


class Serving(_Section):
    """Where and how the premises answer; `names` are more names and addresses that clients use."""

    host: Annotated[str, StringConstraints(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8443
    names: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:*-]+$")], ...] = ()
    limits: Limits = Limits()
    engine: Engine = Engine()
    drain_seconds: Annotated[float, Field(ge=0, le=600)] | None = None


class Release(_Section):
    """What releases are called and which channel is served."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "assistant"
    channel: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "stable"


class Premises(_Section):
    """Which hosts, and what may be done to them when."""

    inventory: Annotated[str, StringConstraints(min_length=1)] = "ansible/inventory/localhost.yml"
    root: Annotated[str, StringConstraints(min_length=1)] | None = None
    preview_check: bool = Field(default=False, alias="previewCheck")


class Settings(_Section):
    """All that a stack's file can say for a scenario on the premises."""

    foundation: Annotated[PackagedFoundation | FoundationPath, Field(discriminator="kind")] = (
        PackagedFoundation()
    )
    data: Annotated[PackagedData | DataPath, Field(discriminator="kind")] = PackagedData()
    recipe: Recipe = Recipe()
    gate: Gate = Gate()
    serving: Serving = Serving()
    release: Release = Release()
    premises: Premises = Premises()


def read_settings(stack: str, config: Mapping[str, str], secret_keys: Collection[str] = ()) -> Settings:
    """Turn a stack's configuration into settings.

    Args:
        stack: the stack's name; errors name its file.
        config: `namespace:key` -> text, structured values as JSON: what Pulumi hands to a program.
        secret_keys: the keys set with `--secret`. No setting is one, and a value stored as a secret would
            come out in plain text in the state, so they are refused.

    Raises:
        SettingsError: one line a mistake.

    """
    where = f"stacks/Pulumi.{stack}.yaml"
    values: dict[str, Any] = {"premises": {}}
    for key, text in config.items():
        namespace, _, name = key.partition(":")
        if namespace not in {PROJECT, "premises"}:
            continue
        if key in secret_keys:
            message = (
                f"{where}: {key}: this setting is shown in the state in plain text; set it without --secret"
            )
            raise SettingsError(message)
        if key == f"{PROJECT}:premises":
            message = f"{where}: {key}: unknown key; premises is a namespace: write premises:inventory: …"
            raise SettingsError(message)
        (values if namespace == PROJECT else values["premises"])[name] = _decoded(text)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [f"{where}: {_line(detail)}" for detail in error.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from None


def _decoded(text: str) -> Any:
    try:
        return json.loads(text) if text[:1] in {"{", "["} else text
    except ValueError:
        return text


def _line(detail: ErrorDetails) -> str:
    """Say one mistake: `premises:inventory: …`, `recipe.rank: …`."""
    parts = [str(part) for part in detail["loc"]]
    tags = {"packaged", "directory", "gguf", "python-reference", "chat", "text"}
    parts = [part for index, part in enumerate(parts) if not (index == 1 and part in tags)]
    path = ".".join(parts)
    if parts[:1] == ["premises"]:
        path = ":".join(["premises", *parts[1:]]).rstrip(":")
    message = detail["msg"].replace(
        "String should match pattern '^(/|~/)'", "must be an absolute path on the hosts"
    )
    given = (
        ""
        if detail["type"] in {"mistake", "missing"}
        else f"; got {json.dumps(detail['input'], default=str)}"
    )
    return f"{path}: {message[:1].lower()}{message[1:]}{given}" if path else message
