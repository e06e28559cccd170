"""A backend of the user's takes the place of ours, and of our passphrase, which no other machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.state import OWN_BACKEND, PASSPHRASE, variables

THEIRS = "s3://team-state"


@pytest.mark.parametrize(
    ("given", "backend", "passphrase_file"),
    [
        ({}, OWN_BACKEND, str(PASSPHRASE)),
        ({"PULUMI_CONFIG_PASSPHRASE": "of another project"}, OWN_BACKEND, str(PASSPHRASE)),
        ({"PULUMI_BACKEND_URL": OWN_BACKEND}, OWN_BACKEND, str(PASSPHRASE)),
        ({"PULUMI_BACKEND_URL": THEIRS}, THEIRS, None),
        ({"PULUMI_BACKEND_URL": THEIRS, "PULUMI_CONFIG_PASSPHRASE": "theirs"}, THEIRS, None),
        ({"PULUMI_BACKEND_URL": THEIRS, "PULUMI_CONFIG_PASSPHRASE_FILE": "/theirs"}, THEIRS, None),
    ],
)
def test_what_the_user_has_set_is_respected(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], backend: str, passphrase_file: str | None
) -> None:
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    made = variables(Path("/engine"))
    assert made["PULUMI_BACKEND_URL"] == backend
    assert made.get("PULUMI_CONFIG_PASSPHRASE_FILE") == passphrase_file
