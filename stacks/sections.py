"""The parts that a stack's settings are made of: immutable, typed, each mistake one clear sentence."""

from __future__ import annotations

import difflib
import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, model_validator
from pydantic_core import PydanticCustomError


def mistake(text: str) -> PydanticCustomError:
    """Return what a validator raises, so that the user reads just this."""
    return PydanticCustomError("mistake", "{text}", {"text": text})


class Section(BaseModel):
    """A part of the settings: immutable; an unknown key is a mistake answered with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_pydantic_would_not(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        fields = {field.alias or name: field.annotation for name, field in cls.model_fields.items()}
        known = list(fields)
        for key, value in values.items():
            if key not in known:
                nearest = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
                raise mistake(f"unknown key {key!r}; {hint}")
            if isinstance(value, bool) and bool not in (fields[key], *get_args(fields[key])):
                # Pydantic would take true for 1. Those of `premises` that are arrive as text.
                raise mistake(f"{key} should not be true or false; got {json.dumps(value)}")
        return values

    def as_variables(self) -> dict[str, Any]:
        """Return what the user set, for Ansible; what is left out keeps the default of the model package."""
        return self.model_dump(exclude_none=True)


# A path on this machine: absolute, or below the project.
LocalPath = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
ReleaseName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}@sha256:[0-9a-f]{64}$")]
# A path on the hosts; relative ones would mean something else on each of them.
HostPath = Annotated[str, StringConstraints(pattern=r"^(/|~/)", strip_whitespace=True)]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=0.5)]


class PackagedFoundation(Section):
    """The default foundation model, SmolLM2-135M-Instruct, as carried by a locked Python package."""

    kind: Literal["packaged"] = "packaged"


class FoundationPath(Section):
    """A foundation model of one's own: a Hugging Face directory or a GGUF file on each training host."""

    kind: Literal["directory", "gguf"]
    path: HostPath
    max_perplexity: Annotated[float, Field(gt=1)] | None = None


class PackagedData(Section):
    """The reference of the Python language, which every Python carries; split by topic."""

    kind: Literal["python-reference"] = "python-reference"
    held_out: Share = 0.1


class DataPath(Section):
    """Training data of one's own on each training host: chat JSONL, or a folder of plain text."""

    kind: Literal["chat", "text"]
    path: HostPath
    held_out: Share = 0.1


class Recipe(Section):
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


class Gate(Section):
    """What a trained model must reach to be promoted. What is left out keeps the model package's default."""

    minimum_gain: Annotated[float, Field(ge=0)] | None = None
    old_domain_margin: Annotated[float, Field(ge=0)] | None = None
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] | None = None
    resamples: Annotated[int, Field(ge=100, le=100_000)] | None = None
    seed: NotNegative | None = None


class Limits(Section):
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


class Engine(Section):
    """What both kinds of engine are told."""

    max_context: Annotated[int, Field(ge=2)] | None = None
    max_waiting: NotNegative | None = None

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_the_other_kind_is_told(cls, values: object) -> object:
        for other in (TorchEngine, VllmEngine):
            for key in values if isinstance(values, dict) else ():
                if key in other.model_fields and key not in cls.model_fields:
                    kinds = ("vllm", "torch") if other is VllmEngine else ("torch", "vllm")
                    raise mistake("{} belongs to kind {!r}, and this is kind {!r}".format(key, *kinds))
        return values


class TorchEngine(Engine):
    """The bundled engine."""

    kind: Literal["torch"] = "torch"
    weights: Literal["auto", "int8", "bf16", "fp32"] | None = None
    compile: Literal["auto", "on", "off"] | None = None
    threads: Positive | None = None
    max_sequences: Annotated[int, Field(ge=1, le=1024)] | None = None
    prefill_tokens: Positive | None = None
    lookup: Literal["auto", "on", "off"] | None = None


class VllmEngine(Engine):
    """vLLM, on hosts with GPUs; `requirements` is a lock on this machine in place of ours.

    A CPU build of vLLM, which `device: cpu` wants, comes by such a lock alone.
    """

    kind: Literal["vllm"]
    device: Literal["gpu", "cpu"] | None = None
    requirements: LocalPath | None = None
    dtype: Literal["auto", "bf16", "fp16", "fp32"] | None = None
    max_sequences: Annotated[int, Field(ge=1, le=4096)] | None = None
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    tensor_parallel: Annotated[int, Field(ge=1, le=64)] | None = None

    @model_validator(mode="after")
    def _want_a_lock_for_cpus(self) -> VllmEngine:
        if self.device == "cpu" and self.requirements is None:
            raise mistake("device cpu needs requirements, the lock of a CPU build of vLLM")
        return self


def _engine_kind(engine: object) -> str:
    kind = engine.get("kind", "torch") if isinstance(engine, dict) else getattr(engine, "kind", "torch")
    return str(kind)


_Torch = Annotated[TorchEngine, Tag("torch")]
_Vllm = Annotated[VllmEngine, Tag("vllm")]
AnyEngine = Annotated[
    _Torch | _Vllm,
    Discriminator(
        _engine_kind,
        custom_error_type="mistake",
        custom_error_message="kind should be 'torch' or 'vllm'",
    ),
]


class Serving(Section):
    """Where and how the premises answer; `names` are more names and addresses that clients use."""

    host: Annotated[str, StringConstraints(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8443
    names: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:*-]+$")], ...] = ()
    limits: Limits = Limits()
    engine: AnyEngine = TorchEngine()
    drain_seconds: Annotated[float, Field(ge=0, le=600)] | None = None


class Release(Section):
    """What releases are called, which channel is served, and where the served one is put for others.

    `export` is a folder on this machine, from which a stack elsewhere takes the release.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "assistant"
    channel: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "stable"
    export: LocalPath | None = None


class ReleaseFile(Section):
    """A signed release on this machine: its folder, or a tar archive of what is in that."""

    kind: Literal["file"]
    path: LocalPath
    id: ReleaseName
    verification_key: LocalPath


class ReleaseUrl(Section):
    """A tar archive of a signed release, which this machine fetches."""

    kind: Literal["url"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
    id: ReleaseName
    verification_key: LocalPath


class ReleaseOfStack(Section):
    """The release that another stack hands out; `stack` is its name, or `organization/project/stack`."""

    kind: Literal["stack"]
    stack: Annotated[str, StringConstraints(min_length=1)]


class Balancer(Section):
    """Where the balancer listens, if the inventory has a host in the group `balancer`."""

    host: Annotated[str, StringConstraints(min_length=1)] = "0.0.0.0"  # noqa: S104 it is there for others
    port: Annotated[int, Field(ge=1, le=65535)] = 9443
