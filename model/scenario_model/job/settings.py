"""The configuration of a training job."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from scenario_model.config import FilePath, Kinds, Positive, Section, Text
from scenario_model.data.settings import ChatOptions, PythonReference, TextOptions
from scenario_model.errors import InputError
from scenario_model.evaluate.settings import GateSettings
from scenario_model.release.settings import ReleaseNames
from scenario_model.train.settings import Recipe


class FoundationHere(Section):
    """A directory created by `import`, such as one in the image. A local directory is trusted."""

    kind: Literal["directory"] = "directory"
    path: FilePath
    """The directory."""


class FoundationInBucket(Section):
    """A directory created by `import`, in a bucket; it must be signed, or its digest given here."""

    kind: Literal["bucket"] = "bucket"
    uri: Text
    """s3://bucket/prefix."""
    digest: Text | None = None
    """Digest that `import` prints (sha256:<64 hex>); it does not cover foundation.json (name and licence)."""
    verification_key: FilePath | None = None
    """PEM file with the public half of the key used with `import --key`."""


class ChatAt(ChatOptions):
    """Conversations as JSON lines or arrays: messages, ShareGPT's conversations, or prompt and completion."""

    path: Text
    """A file, a folder, or s3://bucket/prefix."""
    held_out_path: Text | None = None
    """Your own held-out conversations, in such a place; `held_out` then has no effect."""


class TextAt(TextOptions):
    """Plain text: .txt, .md and .rst files, one document per file, and .jsonl files of {"text": …}."""

    path: Text
    """A file, a folder, or s3://bucket/prefix."""
    held_out_path: Text | None = None
    """Your own held-out documents, in such a place; `held_out` then has no effect."""


JobData = Annotated[PythonReference | ChatAt | TextAt, Kinds(default="python-reference")]


class JobSettings(Section):
    """The configuration file of `scenario-model job`."""

    foundation: Annotated[FoundationHere | FoundationInBucket, Kinds()]
    data: JobData = PythonReference()
    recipe: Recipe = Recipe()
    gate: GateSettings = GateSettings()
    release: ReleaseNames = ReleaseNames()
    store: Text
    """s3://bucket/prefix, for releases, channels, and this job's checkpoints and outcome."""
    scratch: FilePath
    """Scratch folder on this host; may be lost."""
    scratch_bytes: Positive | None = None
    """How much of it the job may use; null: what is free."""
    signing_key: Text
    """PEM file, or kms:ARN of an ECC_NIST_P256 key."""
    save_before: Text | None = None
    """ISO 8601 time with a time zone: the job saves before it and exits with 75; allow minutes for the copy
    to the bucket."""

    @property
    def deadline(self) -> datetime | None:
        """`save_before` as a time."""
        return None if self.save_before is None else datetime.fromisoformat(self.save_before)

    def check(self, where: str) -> None:
        """Raise InputError for constraints beyond the types; `where` is the file's name."""
        if not self.store.startswith("s3://"):
            remedy = "give s3://BUCKET/PREFIX: a job's results must outlive its host"
            raise InputError(f"key 'store' is {self.store[:120]!r}", where=where, remedy=remedy)
        try:
            fits = self.deadline is None or self.deadline.tzinfo is not None
        except ValueError:
            fits = False
        if not fits:
            remedy = "write a time with its time zone, such as 2026-11-24T11:30:00Z"
            raise InputError(f"key 'save_before' is {self.save_before!r}", where=where, remedy=remedy)
        found = self.foundation
        if isinstance(found, FoundationInBucket) and not (found.digest or found.verification_key):
            remedy = "add foundation.verification_key (`import --key` signs) or foundation.digest"
            raise InputError("the foundation model is not authenticated", where=where, remedy=remedy)
