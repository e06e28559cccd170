"""Releases that go out, and releases that come in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenario_model.config import Kinds, Section, Text
from scenario_model.release.settings import Id, ReleaseNames
from stacks.settings.base import LocalPath


class Release(ReleaseNames):
    """What releases are called, which channel is promoted, and where a copy is put for other stacks."""

    export: LocalPath | None = None
    """Folder on this machine for the release that other stacks take. Not needed where this machine trains: they take it
    from the store."""


class ReleaseFile(Section):
    """A signed release on this machine."""

    kind: Literal["file"] = "file"
    path: LocalPath
    """Its folder, or a tar archive of what is in that."""
    id: Id
    """The release, name@sha256:<64 hex>."""
    verification_key: LocalPath
    """PEM file of the public key that verifies it."""


class ReleaseUrl(Section):
    """A tar archive of a signed release, which this machine fetches."""

    kind: Literal["url"] = "url"
    url: Annotated[Text, Field(pattern=r"^https?://\S+$")]
    """Where it is."""
    id: Id
    """The release, name@sha256:<64 hex>."""
    verification_key: LocalPath
    """PEM file of the public key that verifies it."""


class ReleaseOfStack(Section):
    """The release that another stack hands out."""

    kind: Literal["stack"] = "stack"
    stack: Text
    """The stack's name, or organization/project/stack."""


ReceivedRelease = Annotated[ReleaseFile | ReleaseUrl | ReleaseOfStack, Kinds()]
