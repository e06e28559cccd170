"""Settings of the lifecycle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenario_model.config import FilePath, Positive, Seconds, Section, Text
from scenario_model.release.settings import Name


class Lifecycle(Section):
    """When a model is retrained, and when a new release takes the place of the running one."""

    approval: Literal["auto", "person"] = "person"
    """person: nothing is retrained before somebody said so (`scenario-model lifecycle approve`); auto: at once."""
    retrain_on: Literal["agreement", "warning"] = "agreement"
    """agreement: two detectors have to alarm; warning: one is enough, also if traffic became a part of what it was."""
    windows: Positive = 2
    """Windows in a row that have to ask for retraining."""
    cool_down_seconds: Seconds = 86_400.0
    """Time after an end, good or bad, in which nothing new begins."""
    retrainings: Positive = 4
    """Retrainings in thirty days at most."""
    canary_requests: Annotated[int, Field(ge=20, le=10_000_000)] = 500
    """Requests that a new release answers beside the running one, without being worse, before it takes its place."""
    canary_seconds: Seconds = 604_800.0
    """Time after which a canary that had too few requests is said to be held up; it is neither promoted nor dropped."""


class Training(Section):
    """How to train again. The data are those of the first training: files that were added to them are what is new."""

    config: FilePath
    """The configuration of `scenario-model train`."""
    gate: FilePath | None = None
    """The gate's criteria; null: the defaults."""


class LifecycleHere(Lifecycle):
    """The configuration file of `scenario-model lifecycle`."""

    store: Text
    """Folder of releases, or s3://bucket/prefix."""
    name: Name
    """Name of the release."""
    channel: Name = "stable"
    """Channel that names the release that is served."""
    signing_key: Text
    """Key that signs releases, channel and history: a PEM file, or an AWS KMS key."""
    server: Text
    """Address of the server on this host, https://HOST:PORT."""
    follow: FilePath
    """The file from which the server knows which release to serve."""
    observation: FilePath
    """The server's folder of observations."""
    canary: FilePath | None = None
    """The file from which the server knows which release to try; null: it tries none, and the gate alone decides."""
    training: Training | None = None
    """How to train again; null: there is no trainer here, and the history only asks for a release."""
