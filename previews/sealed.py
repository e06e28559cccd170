"""State and settings without their secrets: each becomes an unknown value, before the engine sees it. Pure.

A secret in a state is an object with a signature and its ciphertext. Pulumi reads one with a plain text, too, and a
plain text that is its sign for "not known yet" becomes a secret that is unknown: equal to any other unknown value, and
never shown. So no passphrase is needed, and nothing seems to change because of it. Source: DeserializePropertyValue in
pkg/resource/stack/deployment.go, and DeepEquals in sdk/go/common/resource/properties.go, of Pulumi 3.259.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from policies.rule import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
SEALED: Mapping[str, str] = {_SIGNATURE: _SECRET, "plaintext": json.dumps(UNKNOWN)}
"""A secret that is not known, as states have it."""


def sealed_state(deployment: Mapping[str, Any], salt: str) -> dict[str, Any]:
    """Return a stack's deployment without secrets, to be read with the passphrase that `salt` was made for.

    An update that was killed is not gone on with: its pending operations are left out.
    """
    resources = [_sealed(each) for each in deployment.get("resources") or []]
    return {
        "manifest": deployment.get("manifest", {}),
        "secrets_providers": {"type": "passphrase", "state": {"salt": salt}},
        "resources": resources,
        "metadata": {},
    }


def sealed_settings(content: Mapping[str, Any], salt: str) -> tuple[dict[str, Any], int]:
    """Return the content of a stack's file without secrets, and how many there were."""
    found = 0

    def sealed(value: Any) -> Any:
        nonlocal found
        if isinstance(value, dict):
            if set(value) == {"secure"}:
                found += 1
                return UNKNOWN
            return {key: sealed(each) for key, each in value.items()}
        return [sealed(each) for each in value] if isinstance(value, list) else value

    config = sealed(dict(content.get("config") or {}))
    return {"encryptionsalt": salt, "config": config}, found


def is_secret(value: object) -> bool:
    """Whether a value of a state is a secret."""
    return isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET


def secrets_in(value: object) -> int:
    """How many secrets a part of a state has."""
    if isinstance(value, dict):
        return 1 if is_secret(value) else sum(map(secrets_in, value.values()))
    return sum(map(secrets_in, value)) if isinstance(value, list) else 0


def _sealed(value: Any) -> Any:
    if is_secret(value):
        return dict(SEALED)
    if isinstance(value, dict):
        return {key: _sealed(each) for key, each in value.items()}
    return [_sealed(each) for each in value] if isinstance(value, list) else value
