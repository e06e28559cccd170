"""All checks of a resource's properties before creation; also in a preview."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lab.aws.stand_in import sdk
from lab.aws.stand_in.policies import policy_faults
from lab.aws.stand_in.values import UNKNOWN, has_unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.aws.stand_in.adapter import Adapter


def faults_of(adapter: Adapter, inputs: dict[str, Any]) -> Iterator[sdk.Fault]:
    """Yield faults of the inputs: by the SDK's types, and if they are valid, by the API's model."""
    written_as_objects = {name for name in adapter.documents if isinstance(inputs.get(name), dict)}
    for name in written_as_objects:  # the SDK accepts documents as objects or text, AWS accepts text
        if not has_unknown(inputs[name]):
            inputs[name] = json.dumps(inputs[name])
    found = list(sdk.faults(sdk.resource_type(adapter.token).arguments, inputs))
    yield from found
    for name, kind in adapter.documents.items():
        text = inputs.get(name)
        if isinstance(text, str) and text != UNKNOWN:
            yield from ((name, fault) for fault in policy_faults(text, kind))
    if not found:
        yield from adapter.request(inputs)[1]
