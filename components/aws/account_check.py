"""What an account and its zones have, asked before network and cluster: instance types, endpoints, quotas,
reservations.

Otherwise the first that is missing ends an update after twenty minutes, with a cluster and half a network.
"""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pulumi.dynamic import CreateResult, DiffResult, Resource

from components.aws.caller import caller
from components.dynamic import Provider, asked_anew, settle_in
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pulumi

    from components.aws.location import Location

    Properties = dict[str, Any]

# vCPUs of running on-demand instances, by the first letters of their types:
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html, read 2026-11.
_QUOTAS = {"p": "L-417A185B", "g": "L-DB2E81BA", "gr": "L-DB2E81BA"}
_QUOTA_OF_OTHERS = "L-1216C47A"
# The last two: a quota, or an operation, that this AWS does not have.
_MAY_NOT = "AccessDenied|Unauthorized|NoSuchResource|InvalidAction|UnknownOperation"
_NOT_BEGUN = ("pending", "scheduled", "payment-pending", "assessing", "delayed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """Instances that a stack needs.

    Attributes:
        instance_type: EC2's name.
        vcpus: of one of them.
        number: how many run at least, at the same time.
        zones: where each of the zones has to offer the type, and the others.
        others: types that EC2 may start instead, with the vCPUs of one of each. EKS refuses a group if one of them is
            not offered in one of its zones: https://github.com/eksctl-io/eksctl/issues/6461.
        on_demand: whether the account's quota for instances on demand counts: a reservation is in it, too.
        reservation: ID of the capacity reservation or block that they are started in; empty: none.

    """

    instance_type: str
    vcpus: int
    number: int
    zones: Sequence[str]
    others: Mapping[str, int] = field(default_factory=dict)
    on_demand: bool = True
    reservation: str = ""


class AccountCheckProvider(Provider):
    """Asks EC2 and Service Quotas. It makes and removes nothing."""

    def create(self, props: Properties) -> CreateResult:
        """Ask; an error says everything that is missing."""
        settle_in()
        try:
            session = caller(props["caller"]).session(props["region"])
            missing = _without_type(session, props) + _without_endpoint(session, props)
            missing += _beyond_quota(session, props) + _beyond_reservation(session, props)
        except (BotoCoreError, ClientError) as error:
            raise CloudError(f"AWS does not answer: {' '.join(str(error).split())}") from None
        if missing:
            raise CloudError(f"no network and no cluster was made: {'; '.join(missing)}")
        return CreateResult("checked", props)

    def diff(self, _id: str, olds: Properties, news: Properties) -> DiffResult:
        """Other needs are asked for anew."""
        return asked_anew(olds, news, "region", "zones", "services", "needs", "vpc")


class AccountCheck(Resource, module="aws", name="AccountCheck"):
    """An account that has what a stack needs; what it makes depends on this."""

    def __init__(
        self,
        name: str,
        location: Location,
        services: Sequence[str],
        needs: Sequence[Need],
        vpc: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Register the question for interface endpoints of `services` in all zones, and for instances.

        Without a `vpc` the endpoints are made, so their services have to be offered; otherwise they are to be in it.
        """
        inputs = {
            "region": location.region,
            "zones": list(location.zones),
            "services": sorted(services),
            "needs": [
                asdict(each) | {"zones": list(each.zones), "others": dict(each.others)} for each in needs
            ],
            "vpc": vpc,
            "caller": location.caller.told(),
        }
        super().__init__(AccountCheckProvider(), name, inputs, opts)


def _without_type(session: Any, props: Properties) -> list[str]:
    found = []
    for need in props["needs"]:
        for kind in (need["instance_type"], *need["others"]):
            wanted = [{"Name": "instance-type", "Values": [kind]}]
            offerings = session.client("ec2").describe_instance_type_offerings
            told = _asked(offerings, LocationType="availability-zone", Filters=wanted)
            if told is None:
                continue
            there = sorted(each["Location"] for each in told["InstanceTypeOfferings"])
            if lacking := sorted(set(need["zones"]) - set(there)):
                remedy = f"it is in {', '.join(there)}" if there else "choose another type or region"
                found.append(f"{', '.join(lacking)} does not offer {kind}; {remedy}")
    return found


def _without_endpoint(session: Any, props: Properties) -> list[str]:
    if not props["services"]:
        return []
    names = [f"com.amazonaws.{props['region']}.{each}" for each in props["services"]]
    if props["vpc"]:
        return _without_endpoint_in(session, props["vpc"], names)
    told = _asked(session.client("ec2").describe_vpc_endpoint_services, ServiceNames=names)
    return [
        f"{each['ServiceName']} has no endpoint in {', '.join(lacking)}; leave that zone out of cloud:zones"
        for each in (told or {}).get("ServiceDetails", [])
        if (lacking := sorted(set(props["zones"]) - set(each["AvailabilityZones"])))
    ]


def _without_endpoint_in(session: Any, vpc: str, names: Sequence[str]) -> list[str]:
    within = [{"Name": "vpc-id", "Values": [vpc]}]
    told = _asked(session.client("ec2").describe_vpc_endpoints, Filters=within)
    if told is None:
        return []
    there = {each["ServiceName"] for each in told["VpcEndpoints"] if each.get("PrivateDnsEnabled")}
    lacking = [each for each in names if each not in there]
    return [f"{vpc} lacks interface endpoints with private DNS for {', '.join(lacking)}"] if lacking else []


def _beyond_quota(session: Any, props: Properties) -> list[str]:
    """Return the quotas that are too small; of what may be started instead, it is a warning."""
    wanted: dict[str, int] = {}
    for need in (each for each in props["needs"] if each["on_demand"]):
        code = _quota_of(need["instance_type"])
        wanted[code] = wanted.get(code, 0) + int(need["vcpus"]) * int(need["number"])
        for other, vcpus in need["others"].items():
            alone = {_quota_of(other): int(vcpus) * int(need["number"])}
            for lack in _lacking(session, alone, props["region"]):
                _warn(f"{other} will not stand in for {need['instance_type']}: {lack}")
    return list(_lacking(session, wanted, props["region"]))


def _quota_of(instance_type: str) -> str:
    family = re.match("[a-z]+", instance_type)
    return _QUOTAS.get(family[0] if family else "", _QUOTA_OF_OTHERS)


def _lacking(session: Any, wanted: Mapping[str, int], region: str) -> Iterator[str]:
    for code, vcpus in wanted.items():
        told = _asked(session.client("service-quotas").get_service_quota, ServiceCode="ec2", QuotaCode=code)
        if told and told["Quota"]["Value"] < vcpus:
            yield (
                f"{vcpus} vCPUs are needed, and the quota {told['Quota']['QuotaName']!r} is "
                f"{told['Quota']['Value']:g}; ask for more: aws service-quotas request-service-quota-increase "
                f"--service-code ec2 --quota-code {code} --desired-value {vcpus} --region {region}"
            )


def _beyond_reservation(session: Any, props: Properties) -> list[str]:
    found = []
    for need in props["needs"]:
        if not (identity := need["reservation"]):
            continue
        asked = session.client("ec2").describe_capacity_reservations
        told = _asked(asked, CapacityReservationIds=[identity])
        for each in (told or {}).get("CapacityReservations", []):
            found += [f"{identity} {wrong}" for wrong in _wrong_reservation(each, need)]
    return found


def _wrong_reservation(told: dict[str, Any], need: Properties) -> list[str]:
    """Return what a reservation is, where it is not what is needed."""
    wrong = []
    if told["State"] in _NOT_BEGUN:
        begins = told.get("StartDate")
        wrong.append(f"begins at {begins:%Y-%m-%d %H:%M %Z}; go up then" if begins else "has not begun")
    elif told["State"] != "active":
        wrong.append(f"is {told['State']}; name another in cloud:nodes.capacity")
    if told["AvailabilityZone"] not in need["zones"]:
        wrong.append(f"is in {told['AvailabilityZone']}; set cloud:nodes.zone to it")
    if told["InstanceType"] != need["instance_type"]:
        wrong.append(f"is of {told['InstanceType']}; set cloud:nodes.instance_type to it")
    if told["TotalInstanceCount"] < need["number"]:
        wrong.append(f"has {told['TotalInstanceCount']} instances, and the job needs {need['number']}")
    return wrong


def _asked(question: Any, **arguments: Any) -> Any:
    """Return an answer; None, and a warning, if this caller may not ask: that is no reason to end."""
    try:
        return question(**arguments)
    except ClientError as error:
        if not re.search(_MAY_NOT, error.response["Error"]["Code"]):
            raise
        _warn(f"not checked: {' '.join(str(error).split())}")
        return None


def _warn(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
