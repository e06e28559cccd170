"""Stack configuration -> frozen, typed Settings. Every mistake in a stack's file ends here, in one line."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic_core import ErrorDetails

PROJECT = "model-deployment-scenarios"


class SettingsError(Exception):
    """Settings that cannot be used: one line a mistake, each naming the file, the key and the remedy."""


class _Section(BaseModel):
    """A part of the settings: immutable; an unknown key is a mistake answered with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in values:
            if key not in known:
                nearest = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
                text = "unknown key {key}; {hint}"
                raise PydanticCustomError("unknown_key", text, {"key": repr(key), "hint": hint})
        return values

    def as_variables(self) -> dict[str, Any]:
        """Return what the user set, for Ansible; what is left out keeps the default of the model package."""
        return self.model_dump(exclude_none=True)


# A path on the hosts; relative ones would mean something else on each of them.
HostPath = Annotated[str, StringConstraints(pattern=r"^(/|~/)", strip_whitespace=True)]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class PackagedFoundation(_Section):
    """The default foundation model, SmolLM2-135M-Instruct, as carried by a locked Python package."""

    kind: Literal["packaged"] = "packaged"


class FoundationPath(_Section):
    """A foundation model of one's own: a Hugging Face directory or a GGUF file on the training host."""

    kind: Literal["directory", "gguf"]
    path: HostPath


class PackagedData(_Section):
    """The reference of the Python language, which every Python carries; split by topic."""

    kind: Literal["python-reference"] = "python-reference"
    held_out: Fraction = 0.1


class DataPath(_Section):
    """Training data of one's own on the training host: chat JSONL, or a folder of plain text."""

    kind: Literal["chat", "text"]
    path: HostPath
    held_out: Fraction = 0.1


class Recipe(_Section):
    """How to train. What is left out keeps the default of the model package."""

    method: Literal["lora", "full"] | None = None
    rank: Positive | None = None
    alpha: Annotated[float, Field(gt=0)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    epochs: Annotated[float, Field(gt=0)] | None = None
    sequence_length: Annotated[int, Field(ge=8)] | None = None
    tokens_per_step: Positive | None = None
    micro_batch: Positive | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    checkpoint_every_steps: Positive | None = None
    max_steps: Positive | None = None
    dtype: Literal["auto", "bf16", "fp32"] | None = None
    strategy: Literal["auto", "ddp", "fsdp"] | None = None


class Gate(_Section):
    """What a trained model must reach to be promoted; see `scenario-model evaluate --help` for defaults."""

    minimum_gain: float | None = None
    old_domain_margin: Annotated[float, Field(ge=0)] | None = None
    confidence: Fraction | None = None
    resamples: Annotated[int, Field(ge=100)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None


class Serving(_Section):
    """How the premises answer: address, limits and engine, as in `scenario-model serve --help`."""

    host: Annotated[str, StringConstraints(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8443
    names: tuple[str, ...] = ()
    limits: dict[str, float | int] = {}
    engine: dict[str, str | int | float] = {}
    drain_seconds: Annotated[float, Field(ge=0)] | None = None


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
        if detail["type"] in {"unknown_key", "missing"}
        else f"; got {json.dumps(detail['input'], default=str)}"
    )
    return f"{path}: {message[:1].lower()}{message[1:]}{given}" if path else message
