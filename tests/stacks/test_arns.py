"""ARNs in settings that cannot work where the stack is: one line in the preview; those that can are accepted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

import tests.aws_sdk  # noqa: F401 loads it
from tests.stacks import test_s4_on_aws as s4
from tests.stacks.serving import declare as declare_serving
from tests.stacks.test_s2_cloud_training import Declared, config, declare, declared, in_a_cluster
from tests.stacks.test_s2_on_aws import GOVERNED, KEY

if TYPE_CHECKING:
    from tests.stacks import serving

__all__ = ["declared"]  # a fixture

KEY_ELSEWHERE = KEY.replace("eu-central-1", "us-east-1")
GOVERNED_KEY = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/01234567-89ab-cdef-0123-456789abcdef"


def iam(resource: str, account: str = "000000000000", partition: str = "aws") -> str:
    return f"arn:{partition}:iam::{account}:{resource}"


def signing(arn: str) -> dict[str, str]:
    return {"kind": "kms", "arn": arn, "verification_key": "k.pem"}


OF_GOVCLOUD, OF_ANOTHER = iam("role/x", partition="aws-us-gov"), iam("role/x", "111122223333")
BOUNDARY = iam("policy/boundary", "111122223333")


@pytest.mark.parametrize(
    ("setting", "value", "arn"),
    [
        ("cloud__admins", [OF_GOVCLOUD], OF_GOVCLOUD),
        ("cloud__readers", [OF_GOVCLOUD], OF_GOVCLOUD),
        ("cloud__input_keys", [KEY, GOVERNED_KEY], GOVERNED_KEY),
        ("own__signing", signing(GOVERNED_KEY), GOVERNED_KEY),
        ("aws__assumeRoles", [{"roleArn": OF_GOVCLOUD}], OF_GOVCLOUD),
        ("cloud__roles", {"boundary": OF_GOVCLOUD.replace("role", "policy")}, "arn:aws-us-gov:iam::"),
    ],
)
def test_an_arn_of_another_partition_is_refused_by_its_settings_name(
    setting: str, value: Any, arn: str, declared: Declared
) -> None:
    with pytest.raises(pulumi.RunError) as error:
        declare(config(**{setting: value}))
    said = str(error.value)
    name = {"own__signing": "signing.arn", "cloud__roles": "cloud:roles.boundary"}.get(setting)
    assert said.startswith(f"{name or setting.replace('__', ':')}: {arn}")
    assert "is not of the partition of eu-central-1; use one that begins with arn:aws:, or another" in said
    assert "\n" not in said
    assert not declared.resources, "nothing is declared before"


def test_what_is_no_arn_is_not_taken_for_one_of_another_partition(declared: Declared) -> None:
    with pytest.raises(
        pulumi.RunError, match="cloud:admins: deployer is no ARN; write one that begins with arn:aws:"
    ):
        declare(config(cloud__admins=["deployer"]))


def test_in_govcloud_it_is_the_arns_of_the_other_partition_that_are_refused(declared: Declared) -> None:
    with pytest.raises(pulumi.RunError, match=rf"cloud:input_keys: {KEY} .* begins with arn:aws-us-gov:"):
        declare(config(**GOVERNED, cloud__input_keys=[KEY]))
    declare(config(**GOVERNED, cloud__input_keys=[GOVERNED_KEY]))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"cloud__roles": {"boundary": BOUNDARY}},
            f"cloud:roles.boundary: {BOUNDARY} is not of the account 000000000000 of cloud:account; use a policy",
        ),
        (
            {"aws__assumeRoles": [{"roleArn": OF_ANOTHER}]},
            f"aws:assumeRoles: {OF_ANOTHER} is not of the account 000000000000 of cloud:account; assume one of",
        ),
        (
            {"cloud__input_keys": [KEY_ELSEWHERE]},
            f"cloud:input_keys: {KEY_ELSEWHERE} is a key of another region than eu-central-1; pods reach buckets there",
        ),
        (
            {"own__signing": signing(KEY_ELSEWHERE)},
            f"signing.arn: {KEY_ELSEWHERE} is a key of another region than eu-central-1; pods ask KMS there",
        ),
    ],
)
def test_an_arn_of_another_account_or_region_is_refused_where_it_has_to_be_the_stacks(
    changes: dict[str, Any], expected: str, declared: Declared
) -> None:
    with pytest.raises(pulumi.RunError, match=re.escape(expected)):
        declare(config(**changes))
    assert not declared.resources


@pytest.mark.parametrize(
    "changes",
    [
        {"cloud__roles": {"boundary": iam("policy/PowerUserAccess", "aws")}},
        {"cloud__readers": [OF_ANOTHER]},
        {"cloud__input_keys": [KEY]},
    ],
)
def test_people_and_keys_of_other_accounts_and_awss_own_policies_may_be_meant(
    changes: dict[str, Any], declared: Declared
) -> None:
    declare(config(**changes))


def test_in_a_cluster_of_ones_own_pods_ask_kms_in_the_region_that_they_are_told(declared: Declared) -> None:
    settings = in_a_cluster("/dev/null") | {"model-deployment-scenarios:signing": json.dumps(signing(KEY))}
    said = rf"signing\.arn: {KEY} is a key of another region than us-east-1; pods ask KMS there"
    with pytest.raises(pulumi.RunError, match=said):
        declare(settings | {"cloud:region": "us-east-1"})
    with pytest.raises(
        pulumi.RunError, match=r"k\.pem"
    ):  # the key is accepted, and its public half asked for
        declare(settings | {"cloud:region": "eu-central-1"})


def test_who_comes_by_private_link_is_of_the_regions_partition(serving_stack: serving.Declared) -> None:
    with pytest.raises(pulumi.RunError, match=rf"cloud:principals: {OF_GOVCLOUD} is not of the partition of"):
        declare_serving(s4.config(cloud__principals=[OF_GOVCLOUD]))
