"""Settings for the names of releases and channels."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator

from scenario_model.config import Section, Text, bad_key
from scenario_model.release.names import NAME_RULE, is_id, is_name


def _name(text: str) -> str:
    if not is_name(text):
        raise bad_key(f"is {json.dumps(text[:120])}", NAME_RULE)
    return text


def _id(text: str) -> str:
    if not is_id(text):
        raise bad_key(f"is {json.dumps(text[:120])}", "write it as NAME@sha256:<64 hex digits>")
    return text


Name = Annotated[Text, AfterValidator(_name)]
"""The name of a release or of a channel."""
Id = Annotated[Text, AfterValidator(_id)]
"""One release: `name@sha256:<64 hex>`."""


class ReleaseNames(Section):
    """The name of a new release, and the channel that it is promoted to."""

    name: Name = "assistant"
    """Name of the release; its digest follows after an @."""
    channel: Name = "stable"
    """Channel that is promoted and served."""
