"""Secrets are gone before the engine sees a state or settings."""

from __future__ import annotations

import json

from policies.rule import UNKNOWN
from previews.sealed import sealed_settings, sealed_state, secrets_in

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:hidden"}
STATE = {
    "secrets_providers": {"type": "passphrase", "state": {"salt": "v1:theirs"}},
    "pending_operations": [{"type": "creating", "resource": {"inputs": {"key": SECRET}}}],
    "resources": [
        {
            "urn": "a",
            "inputs": {"key": SECRET, "name": "plain"},
            "outputs": {"list": [SECRET, {"deep": SECRET}]},
        },
        {"urn": "b"},
    ],
}


def test_each_secret_of_a_state_is_a_secret_that_is_unknown() -> None:
    sealed = sealed_state(STATE, "v1:ours")
    text = json.dumps(sealed)
    assert "hidden" not in text
    assert "theirs" not in text
    assert sealed["secrets_providers"]["state"] == {"salt": "v1:ours"}
    unknown = sealed["resources"][0]["inputs"]["key"]
    assert json.loads(unknown["plaintext"]) == UNKNOWN
    assert "ciphertext" not in unknown
    assert sealed["resources"][0]["inputs"]["name"] == "plain"
    assert text.count(UNKNOWN) == 3 == secrets_in(STATE["resources"])
    assert "pending_operations" not in sealed


def test_a_stack_that_was_never_deployed_has_no_resources() -> None:
    assert sealed_state({}, "v1:ours")["resources"] == []


def test_each_secret_of_a_stacks_file_is_unknown_wherever_it_is() -> None:
    content = {
        "encryptionsalt": "v1:theirs",
        "secretsprovider": "awskms://x",
        "config": {
            "a:b": {"secure": "v1:hidden"},
            "a:c": {"d": [{"secure": "v1:hidden"}], "e": 1},
            "a:f": "plain",
        },
    }
    settings, found = sealed_settings(content, "v1:ours")
    assert found == 2
    assert settings == {
        "encryptionsalt": "v1:ours",
        "config": {"a:b": UNKNOWN, "a:c": {"d": [UNKNOWN], "e": 1}, "a:f": "plain"},
    }
    assert sealed_settings({}, "v1:ours") == ({"encryptionsalt": "v1:ours", "config": {}}, 0)
