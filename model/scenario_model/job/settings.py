"""What `job.json` may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path  # noqa: TC003 - the configuration loader reads the annotations
from typing import Annotated, Literal

from scenario_model.config import Range
from scenario_model.data.settings import PythonReference
from scenario_model.errors import InputError
from scenario_model.evaluate.settings import GateSettings
from scenario_model.release.names import check_name
from scenario_model.train.settings import Recipe

_Share = Annotated[float, Range(above=0, high=0.5)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundationHere:
    """A directory made by `import`, such as one in the image. What is here is trusted to be what it says."""

    path: Path
    kind: Literal["directory"] = "directory"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundationInBucket:
    """A directory made by `import`, at s3://bucket/prefix; it must be signed, or have the digest named here.

    digest: as `import` prints it (`sha256:<64 hex>`); it leaves foundation.json out (name and licence).
    verification_key: PEM file; `import --key` signs.
    """

    uri: str
    digest: str | None = None
    verification_key: Path | None = None
    kind: Literal["bucket"] = "bucket"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAt:
    """As `train`'s chat: `path` is a file, a folder, or s3://bucket/prefix."""

    path: str
    kind: Literal["chat"] = "chat"
    held_out: _Share = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAt:
    """As `train`'s text: `path` is a folder, or s3://bucket/prefix."""

    path: str
    kind: Literal["text"] = "text"
    held_out: _Share = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAs:
    """What the release is called, and the channel that it is promoted to."""

    name: str = "assistant"
    channel: str = "stable"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """`job.json`: the whole of a training job.

    store: s3://bucket/prefix, for releases, channels, and this job's checkpoints and outcome. scratch: a
    folder on this host that may be lost. signing_key: PEM file, or kms:ARN. save_before: ISO 8601 with a time
    zone; the job saves and ends with 75 before that.
    """

    foundation: FoundationHere | FoundationInBucket
    data: PythonReference | ChatAt | TextAt = field(default_factory=PythonReference)
    recipe: Recipe = field(default_factory=Recipe)
    gate: GateSettings = field(default_factory=GateSettings)
    release: ReleaseAs = field(default_factory=ReleaseAs)
    store: str
    scratch: Path
    signing_key: str
    save_before: str | None = None

    @property
    def deadline(self) -> datetime | None:
        """`save_before` as a time."""
        return None if self.save_before is None else datetime.fromisoformat(self.save_before)

    def check(self, where: str) -> None:
        """Raise InputError for what the types do not say; `where` is the file's name."""
        check_name(self.release.name, "release")
        check_name(self.release.channel, "channel")
        if not self.store.startswith("s3://"):
            remedy = "give s3://BUCKET/PREFIX: what a job leaves must outlive its host"
            raise InputError(f"key 'store' is {self.store[:120]!r}", where=where, remedy=remedy)
        try:
            fits = self.deadline is None or self.deadline.tzinfo is not None
        except ValueError:
            fits = False
        if not fits:
            remedy = "write a time with its zone, such as 2026-11-24T11:30:00Z"
            raise InputError(f"key 'save_before' is {self.save_before!r}", where=where, remedy=remedy)
        found = self.foundation
        if isinstance(found, FoundationInBucket) and not (found.digest or found.verification_key):
            remedy = "add foundation.verification_key (`import --key` signs) or foundation.digest"
            raise InputError("nothing vouches for the foundation model", where=where, remedy=remedy)
