"""What is missing is said before a network is made. EC2 is moto's; quotas, which it lacks, are set by the test."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError

from components.aws import account_check
from components.aws.account_check import AccountCheckProvider, Need
from components.aws.caller import Caller
from components.errors import CloudError
from tests.moto_account import moto_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

A, B = "eu-central-1a", "eu-central-1b"
NAMES = {
    "L-DB2E81BA": "Running On-Demand G and VT instances",
    "L-1216C47A": "Running On-Demand Standard instances",
}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account; and the provider in this process, where it must not take the tracebacks away."""
    monkeypatch.setattr(account_check, "settle_in", lambda: None)
    with moto_account(monkeypatch):
        yield


@pytest.fixture
def quotas(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set quotas, by their code; others may not be asked for."""
    call = botocore.client.BaseClient._make_api_call

    def put(**values: float) -> None:
        def answer(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            if operation != "GetServiceQuota":
                return call(client, operation, arguments)
            code = arguments["QuotaCode"].replace("-", "_")
            if code not in values:
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)
            return {"Quota": {"QuotaName": NAMES[arguments["QuotaCode"]], "Value": values[code]}}

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answer)

    return put


def check(
    *needs: Need, zones: tuple[str, ...] = (A, B), services: tuple[str, ...] = ("eks",), vpc: str = ""
) -> None:
    told = [asdict(each) for each in needs]
    inputs = {"region": "eu-central-1", "zones": zones, "services": services, "needs": told, "vpc": vpc}
    AccountCheckProvider().create({**inputs, "caller": Caller().told()})


def need(kind: str = "g6.2xlarge", number: int = 2, **more: Any) -> Need:
    given: dict[str, Any] = {"instance_type": kind, "vcpus": 8, "number": number, "zones": [A]}
    return Need(**(given | more))


def test_an_account_that_has_everything_is_told_nothing(quotas: Callable[..., None]) -> None:
    quotas(L_DB2E81BA=16, L_1216C47A=5)
    check(need(), need("m7i.large", vcpus=2, zones=[A, B]))


def test_types_zones_and_quotas_that_are_missing_are_said_together(quotas: Callable[..., None]) -> None:
    quotas(L_DB2E81BA=0, L_1216C47A=5)
    with pytest.raises(CloudError) as error:
        check(
            need(),
            need("p5.48xlarge", on_demand=False),
            need("m7i.large", vcpus=2),
            zones=(A, "eu-central-1z"),
        )
    said = str(error.value)
    assert said.startswith(
        "no network and no cluster was made: eu-central-1a does not offer p5.48xlarge; choose another type or region"
    )
    assert "com.amazonaws.eu-central-1.eks has no endpoint in eu-central-1z; leave that zone out" in said
    assert "16 vCPUs are needed, and the quota 'Running On-Demand G and VT instances' is 0" in said
    assert "--quota-code L-DB2E81BA --desired-value 16 --region eu-central-1" in said


def test_instances_of_one_family_count_together_and_others_apart(quotas: Callable[..., None]) -> None:
    quotas(L_DB2E81BA=16, L_1216C47A=3)
    with pytest.raises(CloudError, match=r"4 vCPUs are needed, .*Standard") as error:
        check(need(number=1), need("gr6.4xlarge", number=1), need("m7i.large", vcpus=2), services=())
    assert "G and VT" not in str(error.value)


def test_a_type_that_is_elsewhere_in_the_region_says_where(quotas: Callable[..., None]) -> None:
    quotas(L_DB2E81BA=100)
    with pytest.raises(
        CloudError, match=r"1z does not offer g6\.2xlarge; it is in eu-central-1a, eu-central-1b"
    ):
        check(need(zones=["eu-central-1z"]))


def test_what_may_be_started_instead_has_to_be_in_every_zone_too(quotas: Callable[..., None]) -> None:
    quotas(L_DB2E81BA=16)
    check(need(zones=[A, B], others={"g5.2xlarge": 8}), services=())
    with pytest.raises(CloudError, match=r"1a does not offer p5\.48xlarge; choose another type"):
        check(need(others={"g5.2xlarge": 8, "p5.48xlarge": 192}), services=())


def test_a_quota_that_is_too_small_for_what_may_be_started_instead_is_a_warning(
    quotas: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    quotas(L_DB2E81BA=16)
    check(need(others={"g6.16xlarge": 64, "g5.2xlarge": 8}), services=())
    said = capsys.readouterr().err
    assert said.startswith(
        "g6.16xlarge will not stand in for g6.2xlarge: 128 vCPUs are needed, and the quota"
    )
    assert "g5.2xlarge" not in said


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set what a reservation is, in the form of AWS's answer; moto has none."""
    call = botocore.client.BaseClient._make_api_call

    def put(**told: Any) -> None:
        is_right = {
            "State": "active",
            "AvailabilityZone": A,
            "InstanceType": "g6.2xlarge",
            "TotalInstanceCount": 2,
        }

        def answer(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            if operation != "DescribeCapacityReservations":
                return call(client, operation, arguments)
            assert arguments == {"CapacityReservationIds": ["cr-1"]}
            return {"CapacityReservations": [is_right | told]}

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answer)

    return put


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, ""),
        (
            {"State": "scheduled", "StartDate": dt.datetime(2026, 12, 24, 11, 30, tzinfo=dt.UTC)},
            "cr-1 begins at 2026-12-24 11:30 UTC; go up then",
        ),
        ({"State": "expired"}, "cr-1 is expired; name another"),
        ({"AvailabilityZone": B}, f"cr-1 is in {B}; set cloud:nodes.zone to it"),
        ({"InstanceType": "p5.48xlarge"}, "cr-1 is of p5.48xlarge; set cloud:nodes.instance_type to it"),
        ({"TotalInstanceCount": 1}, "cr-1 has 1 instances, and the job needs 2"),
    ],
)
def test_a_reservation_is_what_the_settings_say_of_it(
    told: dict[str, Any], said: str, reserved: Callable[..., None]
) -> None:
    reserved(**told)
    if not said:
        check(need(reservation="cr-1", on_demand=False))
        return
    with pytest.raises(CloudError, match=re.escape(said)):
        check(need(reservation="cr-1", on_demand=False))


def test_who_may_not_ask_for_quotas_is_warned_and_goes_on(
    quotas: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    quotas()
    check(need())
    assert "not checked: An error occurred (AccessDeniedException)" in capsys.readouterr().err


def test_a_network_that_exists_has_the_endpoints_that_pods_need() -> None:
    ec2 = boto3.client("ec2", region_name="eu-central-1")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    with pytest.raises(
        CloudError, match=rf"{vpc} lacks interface endpoints .* com\.amazonaws\.eu-central-1\.kms$"
    ):
        check(services=("kms",), vpc=vpc)
    service = "com.amazonaws.eu-central-1.kms"
    ec2.create_vpc_endpoint(
        VpcId=vpc, ServiceName=service, VpcEndpointType="Interface", PrivateDnsEnabled=True
    )
    check(services=("kms",), vpc=vpc)


def test_what_aws_does_not_know_or_who_asks_it_ends_in_one_line(
    quotas: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    quotas()
    with pytest.raises(CloudError, match=r"AWS does not answer: .*InvalidServiceName"):
        check(services=("nothing",))
    monkeypatch.setattr(Caller, "told", lambda _: {"profile": "nobody", "role": ""})
    with pytest.raises(
        CloudError, match=r"AWS does not answer: The config profile \(nobody\) could not be found"
    ):
        check()


def test_only_other_needs_are_asked_for_anew() -> None:
    provider = AccountCheckProvider()
    old = {"region": "a", "zones": [A], "services": [], "needs": [], "vpc": "", "caller": {}}
    assert not provider.diff("checked", old, {**old, "caller": {"profile": "x"}}).changes
    assert provider.diff("checked", old, {**old, "zones": [B]}).replaces == ["zones"]
    assert provider.diff("checked", old, {**old, "needs": [{"others": {}}]}).replaces == ["needs"]
