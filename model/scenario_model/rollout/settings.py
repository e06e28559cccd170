"""Settings of a rollout, and of the publication that begins one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenario_model.config import FilePath, Many, Positive, Seconds, Section, Text, form
from scenario_model.release.settings import Id, Name

Share = Annotated[float, Field(gt=0, lt=1)]


class Judgement(Section):
    """When one site counts as failed by a release. It is compared with itself under the release before."""

    error_share: Share = 0.02
    """Failed answers of all, at most, in a period."""
    slower_by: Annotated[float, Field(gt=1)] = 1.5
    """How many times longer the 90 % quantile of the time to the first token may be."""
    periods: Positive = 3
    """Bad periods in a row until the site counts as failed, and good ones until it counts as well."""
    answers: Positive = 20
    """Answers that a period needs to count at all."""


class RolloutSettings(Section):
    """How a release goes from ring to ring."""

    rings: Many[Name] = ("first", "early", "all")
    """In this order. A site belongs to the ring that it was enrolled in."""
    initial: Literal["all-rings", "ring-by-ring"] = "all-rings"
    """How a ring gets its first release: at once, since its sites serve nothing yet, or in its turn."""
    first_sites: Annotated[int, Field(ge=0)] = 5
    """Sites of the first ring that try a release first; then twice and four times as many, then the ring. 0: the ring
    at once, as for a ring that has no release to go back to."""
    soak_seconds: Seconds = 3600.0
    """How long each ring serves a release at least, before the next one gets it."""
    quorum: Share = 0.8
    """Share of a ring's present sites that have to be well before the next ring gets the release."""
    present_seconds: Seconds = 900.0
    """A site that has reported within this time is present; others hold nobody up."""
    tolerated: Share = 0.0005
    """Share of sites that may fail for reasons of their own; more is taken for the release's fault."""
    false_halts: Share = 0.01
    """How often, at most, a rollout of a good release may be halted."""
    judgement: Judgement = Judgement()
    retraining_share: Share = 0.1
    """Share of the sites that watch for drift that have to ask for retraining before it says so; one site at least."""


Key = Annotated[Text, form(r"kms:\S+|/.+", "write the absolute path of a PEM file, or kms:ARN")]
"""A private key."""


class CatalogueKeys(Section):
    """The private keys of a catalogue's roles."""

    root: Many[Key]
    """Root keys, kept offline: they say which keys may sign what."""
    threshold: Positive = 2
    """How many of them have to sign."""
    releases: Key
    """Says which releases exist; kept offline as well."""
    online: Key
    """Of the rollout: says which ring or site serves which release, and that nothing newer is withheld."""


class PublishSettings(Section):
    """The configuration file of `scenario-model rollout publish`."""

    store: Text
    """The store of releases, a folder or s3://bucket/prefix; the catalogue is in it."""
    keys: CatalogueKeys
    release: Id
    """The release, name@sha256:<64 hex>."""
    source: FilePath
    """Its folder, or a tar archive of the folder's content."""
    verification_key: FilePath
    """PEM file of the public key that verifies it."""
