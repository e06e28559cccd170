"""Who speaks to AWS: a profile's credentials, or a role's. The account is moto's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ProfileNotFound
from moto import mock_aws

from components.aws.caller import Caller, caller

if TYPE_CHECKING:
    from pathlib import Path

    import boto3

ROLE = "arn:aws:iam::123456789012:role/deployer"


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a profile of another region, and credentials of its own in the environment."""
    config, keys = tmp_path / "config", tmp_path / "credentials"
    config.write_text("[profile team]\nregion = us-west-2\n")
    keys.write_text("[team]\naws_access_key_id = TEAMS\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "OWN")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


def key_of(session: boto3.Session) -> str:
    found = session.get_credentials()
    assert found
    return str(found.access_key)


def test_a_profile_takes_the_place_of_the_environment_with_its_region_unless_another_is_named() -> None:
    assert key_of(Caller(profile="team").session()) == "TEAMS"
    assert Caller(profile="team").session().region_name == "us-west-2"
    assert Caller(profile="team").session("eu-central-1").region_name == "eu-central-1"
    with pytest.raises(ProfileNotFound, match="nobody"):
        Caller(profile="nobody").session()


def test_a_role_is_assumed_with_the_credentials_that_there_are() -> None:
    with mock_aws():
        session = Caller(profile="team", role=ROLE).session()
        identity = session.client("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::123456789012:assumed-role/deployer/pulumi"
    assert key_of(session) not in {"TEAMS", "OWN"}
    assert session.region_name == "us-west-2"


def test_a_resource_keeps_its_caller_and_an_older_one_has_none() -> None:
    for each in (Caller(), Caller(profile="team"), Caller(role=ROLE)):
        assert caller(each.told()) == each
    assert caller(None) == Caller()
