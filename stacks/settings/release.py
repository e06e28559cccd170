"""Settings of outgoing and incoming releases."""

from __future__ import annotations

from typing import Annotated, Literal

from scenario_model.config import Kinds, Section, Text, form
from scenario_model.release.settings import Id, ReleaseNames
from stacks.settings.base import LocalPath


class Release(ReleaseNames):
    """Names of releases, the channel to promote, and where a copy is exported for other stacks."""

    export: LocalPath | None = None
    """Folder on this machine for the release that other stacks use. Not needed if this machine trains: they
    use its store."""


class ReleaseFile(Section):
    """A signed release on this machine."""

    kind: Literal["file"] = "file"
    path: LocalPath
    """Its folder, or a tar archive of the folder's content."""
    id: Id
    """The release, name@sha256:<64 hex>."""
    verification_key: LocalPath
    """PEM file of the public key that verifies it."""


class ReleaseUrl(Section):
    """A tar archive of a signed release, downloaded by this machine."""

    kind: Literal["url"] = "url"
    url: Annotated[Text, form(r"https?://\S+", "write a URL that begins with https:// or http://")]
    """Its URL."""
    id: Id
    """The release, name@sha256:<64 hex>."""
    verification_key: LocalPath
    """PEM file of the public key that verifies it."""


class ReleaseOfStack(Section):
    """The release that another stack provides."""

    kind: Literal["stack"] = "stack"
    stack: Text
    """The stack's name, or organization/project/stack."""


ReceivedRelease = Annotated[ReleaseFile | ReleaseUrl | ReleaseOfStack, Kinds()]
