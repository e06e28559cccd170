"""Account, region and zones are checked without asking AWS."""

from __future__ import annotations

from typing import Any

import pytest

from components.aws.location import Location
from components.errors import CloudError

ZONES = ("eu-central-1a", "eu-central-1b")
RIGHT: dict[str, Any] = {"account": "123456789012", "region": "eu-central-1", "zones": ZONES}


def test_a_location_is_taken_as_it_is() -> None:
    assert Location(**RIGHT).root == "arn:aws:iam::123456789012:root"


def test_govcloud_has_arns_of_its_own() -> None:
    zones = ("us-gov-west-1a", "us-gov-west-1b")
    there = Location(account="123456789012", region="us-gov-west-1", zones=zones)
    assert there.root == "arn:aws-us-gov:iam::123456789012:root"
    assert there.arn("eks", "cluster/s2") == "arn:aws-us-gov:eks:us-gov-west-1:123456789012:cluster/s2"
    assert there.bucket("data") == "arn:aws-us-gov:s3:::data"
    assert (
        there.managed_policy("AmazonEKS_CNI_Policy") == "arn:aws-us-gov:iam::aws:policy/AmazonEKS_CNI_Policy"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"region": "eu-centrl-1"}, r"no AWS region 'eu-centrl-1'; did you mean 'eu-central-1'\?"),
        ({"region": "mars"}, "no AWS region 'mars'; `aws ec2 describe-regions`"),
        ({"region": "cn-north-1"}, "'cn-north-1' is in a partition whose services have other names"),
        (
            {"boundary": "boundary"},
            r"boundary 'boundary' is not .* arn:aws:iam::123456789012:policy/boundary",
        ),
        ({"role_path": "machines"}, "invalid path of roles 'machines'; it begins and ends with /"),
        ({"zones": ("us-east-1a", "eu-central-1b")}, "'us-east-1a' is not an availability zone of .* eu-c"),
        ({"zones": ("eu-central-1", "eu-central-1b")}, "'eu-central-1' is not an availability zone"),
        ({"zones": ZONES[:1]}, "EKS needs at least two of eu-central-1"),
        ({"zones": (*ZONES, ZONES[0])}, "each named once"),
        ({"zones": ()}, r"zones \(none\)"),
        ({"account": "1234"}, "account '1234' is not the twelve digits"),
    ],
)
def test_what_is_no_place_is_one_line(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(CloudError, match=said):
        Location(**(RIGHT | wrong))
