"""Stack configuration -> frozen, typed settings. Every mistake in a stack's file ends here, in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from stacks.cloud import (
    AwsCloud,
    AwsProvider,
    BucketData,
    BucketFoundation,
    CloudRelease,
    Gang,
    ImageFoundation,
    KmsKey,
    KubernetesCloud,
    OwnKey,
    ReferenceData,
)
from stacks.premises import Premises
from stacks.sections import (
    Balancer,
    DataPath,
    FoundationPath,
    Gate,
    PackagedData,
    PackagedFoundation,
    Recipe,
    Release,
    ReleaseFile,
    ReleaseOfStack,
    ReleaseUrl,
    Section,
    Serving,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic_core import ErrorDetails

PROJECT = "model-deployment-scenarios"
Settings = TypeVar("Settings", bound=Section)


# Of their own beside the project's, each with a key of it as an example.
_NAMESPACES = {"premises": "inventory", "cloud": "kind", "aws": "region"}


class SettingsError(Exception):
    """Settings that cannot be used: one line a mistake, each naming the file, the key and the remedy."""


class LocalSettings(Section):
    """All that the file of `s3-local` can say."""

    foundation: Annotated[PackagedFoundation | FoundationPath, Field(discriminator="kind")] = (
        PackagedFoundation()
    )
    data: Annotated[PackagedData | DataPath, Field(discriminator="kind")] = PackagedData()
    recipe: Recipe = Recipe()
    gate: Gate = Gate()
    serving: Serving = Serving()
    release: Release = Release()
    balancer: Balancer = Balancer()
    premises: Premises = Premises()


class ServingSettings(Section):
    """All that the file of `s1-local-serving` can say."""

    release: Annotated[ReleaseFile | ReleaseUrl | ReleaseOfStack, Field(discriminator="kind")]
    serving: Serving = Serving()
    balancer: Balancer = Balancer()
    premises: Premises = Premises()


class CloudTrainingSettings(Section):
    """All that the file of `s2-cloud-training` can say."""

    cloud: Annotated[AwsCloud | KubernetesCloud, Field(discriminator="kind")]
    training: Gang
    foundation: Annotated[BucketFoundation | ImageFoundation, Field(discriminator="kind")]
    data: Annotated[ReferenceData | BucketData, Field(discriminator="kind")] = ReferenceData()
    recipe: Recipe = Recipe()
    gate: Gate = Gate()
    release: CloudRelease = CloudRelease()
    signing: Annotated[OwnKey | KmsKey, Field(discriminator="kind")] = OwnKey()
    aws: AwsProvider = AwsProvider()


def read_settings(
    kind: type[Settings], stack: str, config: Mapping[str, str], secret_keys: Collection[str] = ()
) -> Settings:
    """Turn a stack's configuration into settings.

    Args:
        kind: the settings of its scenario.
        stack: the stack's name; errors name its file.
        config: `namespace:key` -> text, structured values as JSON: what Pulumi hands to a program.
        secret_keys: the keys set with `--secret`. No setting is one, and a value stored as a secret would
            come out in plain text in the state, so they are refused.

    Raises:
        SettingsError: one line a mistake.

    """
    where = f"stacks/Pulumi.{stack}.yaml"
    namespaces = [name for name in _NAMESPACES if name in kind.model_fields]
    values: dict[str, Any] = {name: {} for name in namespaces}
    for key, text in config.items():
        namespace, _, name = key.partition(":")
        if namespace not in {PROJECT, *namespaces} or (namespace == "aws" and key in secret_keys):
            continue
        if key in secret_keys:
            message = (
                f"{where}: {key}: this setting is shown in the state in plain text; set it without --secret"
            )
            raise SettingsError(message)
        if namespace == PROJECT and name in namespaces:
            example = f"{name}:{_NAMESPACES[name]}"
            message = f"{where}: {key}: unknown key; {name} is a namespace: write {example}: …"
            raise SettingsError(message)
        (values if namespace == PROJECT else values[namespace])[name] = _decoded(text)
    try:
        return kind.model_validate(values)
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
    tags = {"packaged", "directory", "gguf", "python-reference", "chat", "text", "file", "url", "stack"}
    tags |= {"aws", "kubernetes", "bucket", "image", "kms", "own"}
    parts = [part for index, part in enumerate(parts) if not (index == 1 and part in tags)]
    if parts[:2] == ["serving", "engine"] and parts[2:3] in (["torch"], ["vllm"]):
        del parts[2]
    path = ".".join(parts)
    if parts[:1] and parts[0] in _NAMESPACES:
        path = f"{parts[0]}:{'.'.join(parts[1:])}".rstrip(":")
    message = detail["msg"].removeprefix("Value error, ")
    message = message.replace(
        "String should match pattern '^(/|~/)'", "must be an absolute path on the hosts"
    )
    given = (
        ""
        if detail["type"] in {"mistake", "missing"}
        else f"; got {json.dumps(detail['input'], default=str)}"
    )
    return f"{path}: {message[:1].lower()}{message[1:]}{given}" if path else message
