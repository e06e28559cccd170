"""Settings of observation."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from scenario_model.config import FilePath, Section, Text, bad_key
from scenario_model.errors import InputError
from scenario_model.signing.keys import public_key


def _is_a_public_key(pem: str) -> str:
    try:
        public_key(pem.encode(), "")
    except InputError:
        remedy = "write the PEM text of a public ECDSA P-256 key, as `scenario-model release key` makes one"
        # Without the value: somebody may have written the private key here.
        raise bad_key("is not a public key", remedy) from None
    return pem


class KeptText(Section):
    """Texts of prompts, kept encrypted on the server's host for a while, for a person to look at."""

    recipient: Annotated[Text, AfterValidator(_is_a_public_key)]
    """Public key, the PEM text itself: whoever has its private half can read the texts; the server cannot."""
    days: Annotated[int, Field(ge=1, le=365)] = 14
    """After so many days a text is deleted."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of the sessions whose texts are kept."""
    most_bytes: Annotated[int, Field(ge=2**20, le=2**40)] = 64 * 2**20
    """All of them at most; beyond it, the oldest are deleted first."""


class Observation(Section):
    """What a server notes of its traffic, to see when that drifts from what the release was made for."""

    window_seconds: Annotated[float, Field(ge=1, le=86_400)] = 900.0
    """Length of a window, in whose sessions drift is looked for."""
    windows_per_false_alarm: Annotated[float, Field(ge=100, le=1e9)] = 10_000.0
    """Without drift, at most one alarm in so many windows: the default is 104 days of 15 minutes each."""
    loss_share: Annotated[float, Field(ge=0, le=0.5)] = 0.01
    """Share of the time that computing the loss of what is asked may take, while nobody asks; 0: none. Not vLLM."""
    kept_text: KeptText | None = None
    """Keep texts of prompts, encrypted; null: none is kept, and what was kept before is deleted."""


class ObservationHere(Observation):
    """The same, and where this server keeps it."""

    state: FilePath
    """Folder of numbers about the windows, and of kept texts; evidence goes on from there after a restart."""
