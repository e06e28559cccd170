"""A recovery asks as the stack's own provider does. The account is moto's."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from recovery.aws import tagged
from recovery.aws.session import session_of

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/deployer"


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = tmp_path / "credentials"
    keys.write_text("[team]\naws_access_key_id = TEAMS\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "OWN")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


def test_the_profile_and_the_role_of_a_state_are_those_that_recover() -> None:
    mine = session_of({"region": "eu-central-1", "profile": "team"}).get_credentials()
    assert mine
    assert mine.access_key == "TEAMS"
    with mock_aws():
        session = session_of({"region": "eu-central-1", "assumeRoles": json.dumps([{"roleArn": ROLE}])})
        who = session.client("sts").get_caller_identity()["Arn"]
    assert who == "arn:aws:sts::123456789012:assumed-role/deployer/recovery"
    assert session.region_name == "eu-central-1"


def test_a_profile_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["tagged", "--region", "eu-central-1", "--tag", "a=b", "--profile", "nobody"]
    monkeypatch.setattr(sys, "argv", asked)
    with pytest.raises(
        SystemExit, match=r"tagged: no credentials: The config profile \(nobody\) could not be found"
    ):
        tagged.main()
