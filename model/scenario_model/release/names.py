"""Names of releases and channels."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scenario_model.errors import InputError

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ReleaseId:
    """One release: `str()` gives `name@sha256:<64 hex>`."""

    name: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> ReleaseId:
        """Read `name@sha256:<64 hex>`. Raises InputError for anything else."""
        if not is_id(text):
            raise InputError(
                f"{text[:120]!r} is not a release",
                remedy="write it as NAME@sha256:<64 hex digits>; `scenario-model release list` shows them",
            )
        name, _, digest = text.partition("@")
        return cls(name, digest)

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}"

    @property
    def key(self) -> str:
        """Its key in a store: `releases/<name>/sha256-<64 hex>`."""
        return f"releases/{self.name}/{self.digest.replace(':', '-')}"


NAME_RULE = "use 1 to 64 of a-z, 0-9, '.', '_' and '-', starting and ending with a letter or digit"


def is_id(text: str) -> bool:
    """Whether `text` is a release: `name@sha256:<64 hex>`."""
    name, _, digest = text.partition("@")
    return is_name(name) and _DIGEST.fullmatch(digest) is not None


def is_name(text: str) -> bool:
    """Whether `text` is a valid name of a release or a channel."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str, what: str) -> str:
    """Return `text` if it is a valid name of a release or channel (`what`). Raises InputError."""
    if not is_name(text):
        raise InputError(
            f"{text[:120]!r} is not a {what} name",
            remedy=NAME_RULE,
        )
    return text
