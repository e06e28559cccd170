"""Network load balancers, their targets and listeners. No packet goes through them: moto keeps descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.conversion import tag_list, tag_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class _Elb(Adapter):
    """A resource of Elastic Load Balancing, whose ID is its ARN."""

    service = "elbv2"
    holds: ClassVar[str]
    """The member of responses with the resources."""
    arn: ClassVar[str]
    """The member that is the ARN."""
    describes: ClassVar[tuple[str, str]]
    deletes: ClassVar[str]
    attributes: ClassVar[Mapping[str, str]] = {}
    """Properties that are attributes in the API, set by a call of their own."""
    sets: ClassVar[str] = ""
    gets: ClassVar[str] = ""

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        members = self.members(inputs) | ({"Tags": tag_list(tags)} if tags else {})
        return str(self.call(aws, self.creates, **members)[self.holds][0][self.arn])

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        self._set(aws, identity, inputs, set(inputs))

    def _set(self, aws: Cloud, identity: str, inputs: Properties, names: set[str]) -> None:
        told = [
            {"Key": key, "Value": _text(inputs[name])}
            for name, key in self.attributes.items()
            if name in names and inputs.get(name) is not None
        ]
        if told:
            self.call(aws, self.sets, **{self.arn: identity, "Attributes": told})

    def describe(self, aws: Cloud, identity: str) -> Properties:
        operation, asked = self.describes
        found = self.call(aws, operation, **{asked: [identity]})[self.holds]
        if not found:
            raise GoneError(identity)
        return dict(found[0])

    def read(self, aws: Cloud, identity: str) -> Properties:
        item = self.describe(aws, identity)
        told = self.call(aws, "DescribeTags", ResourceArns=[identity])["TagDescriptions"][0]["Tags"]
        live = {**self.outputs(item), "arn": identity, "tags": tag_map(told), **self.derived(item)}
        if self.gets:
            kept = self.call(aws, self.gets, **{self.arn: identity})["Attributes"]
            by_key = {each["Key"]: each["Value"] for each in kept}
            live |= {
                name: self.value(name, by_key[key]) for name, key in self.attributes.items() if key in by_key
            }
        return live

    def derived(self, item: Properties) -> Properties:
        """Return properties that differ from the description."""
        return {}

    def value(self, name: str, text: str) -> Any:
        """Return an attribute as the property has it."""
        return text

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self._set(aws, identity, inputs, changed)

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        if gone:
            self.call(aws, "RemoveTags", ResourceArns=[identity], TagKeys=gone)
        if new:
            self.call(aws, "AddTags", ResourceArns=[identity], Tags=tag_list(new))

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.describe(aws, identity)  # moto deletes what does not exist, too
        self.call(aws, self.deletes, **{self.arn: identity})


class LoadBalancer(_Elb):
    token, creates = "aws:lb/loadBalancer:LoadBalancer", "CreateLoadBalancer"
    holds, arn, deletes = "LoadBalancers", "LoadBalancerArn", "DeleteLoadBalancer"
    describes = ("DescribeLoadBalancers", "LoadBalancerArns")
    sets, gets = "ModifyLoadBalancerAttributes", "DescribeLoadBalancerAttributes"
    attributes = {
        "enableCrossZoneLoadBalancing": "load_balancing.cross_zone.enabled",
        "enableDeletionProtection": "deletion_protection.enabled",
    }
    names = {
        "loadBalancerType": "Type",
        "internal": None,
        # Of SetSecurityGroups, of which moto keeps the groups only.
        "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic": None,
        **dict.fromkeys(attributes),
    }
    reads = {"name": "LoadBalancerName", "loadBalancerType": "Type", "dnsName": "DNSName", "subnets": None}
    replaces = frozenset({"name", "internal", "loadBalancerType"})
    updates = frozenset(
        {*attributes, "securityGroups", "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic"}
    )
    autoname = "name"

    def members(self, inputs: Properties) -> Properties:
        scheme = "internal" if inputs.get("internal") else "internet-facing"
        return super().members(inputs) | {"Scheme": scheme}

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        if groups := inputs.get("securityGroups"):  # moto would accept any
            aws.client("ec2").describe_security_groups(GroupIds=groups)
        return super().create(aws, inputs, tags)

    def derived(self, item: Properties) -> Properties:
        return {
            "internal": item["Scheme"] == "internal",
            "subnets": [each["SubnetId"] for each in item["AvailabilityZones"]],
        }

    def value(self, name: str, text: str) -> Any:
        return text == "true"

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        super().update(aws, identity, inputs, changed)
        if "securityGroups" in changed:
            self.call(
                aws, "SetSecurityGroups", LoadBalancerArn=identity, SecurityGroups=inputs["securityGroups"]
            )


class TargetGroup(_Elb):
    token, creates = "aws:lb/targetGroup:TargetGroup", "CreateTargetGroup"
    holds, arn, deletes = "TargetGroups", "TargetGroupArn", "DeleteTargetGroup"
    describes = ("DescribeTargetGroups", "TargetGroupArns")
    sets, gets = "ModifyTargetGroupAttributes", "DescribeTargetGroupAttributes"
    attributes = {
        "deregistrationDelay": "deregistration_delay.timeout_seconds",
        "preserveClientIp": "preserve_client_ip.enabled",
    }
    names = {"healthCheck": None, **dict.fromkeys(attributes)}
    reads = {"name": "TargetGroupName", "healthCheck": None}
    replaces = frozenset({"name", "port", "protocol", "vpcId", "targetType"})
    updates = frozenset({*attributes, "healthCheck"})
    autoname = "name"

    def members(self, inputs: Properties) -> Properties:
        return super().members(inputs) | _health(inputs.get("healthCheck") or {})

    def derived(self, item: Properties) -> Properties:
        told = {name: item[member] for name, member in _HEALTH.items() if member in item}
        return {"healthCheck": told}

    def value(self, name: str, text: str) -> Any:
        return int(text) if name == "deregistrationDelay" else text

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        super().update(aws, identity, inputs, changed)
        if "healthCheck" in changed:
            told = _health(inputs.get("healthCheck") or {})
            self.call(aws, "ModifyTargetGroup", TargetGroupArn=identity, **told)


_HEALTH = {
    "protocol": "HealthCheckProtocol",
    "interval": "HealthCheckIntervalSeconds",
    "timeout": "HealthCheckTimeoutSeconds",
    "healthyThreshold": "HealthyThresholdCount",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


def _health(given: Properties) -> Properties:
    return {member: given[name] for name, member in _HEALTH.items() if given.get(name) is not None}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Listener(_Elb):
    token, creates = "aws:lb/listener:Listener", "CreateListener"
    holds, arn, deletes = "Listeners", "ListenerArn", "DeleteListener"
    describes = ("DescribeListeners", "ListenerArns")
    reads = {"defaultActions.targetGroupArn": "TargetGroupArn"}
    replaces = frozenset({"loadBalancerArn"})
    updates = frozenset({"port", "protocol", "defaultActions"})

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        members = {key: each for key, each in self.members(inputs).items() if key != "LoadBalancerArn"}
        self.call(aws, "ModifyListener", ListenerArn=identity, **members)


class Attachment(Adapter):
    """Gives the instances of an autoscaling group to a target group."""

    token, service = "aws:autoscaling/attachment:Attachment", "autoscaling"
    creates = "AttachLoadBalancerTargetGroups"
    names = {"lbTargetGroupArn": "TargetGroupARNs"}
    replaces = frozenset({"autoscalingGroupName", "lbTargetGroupArn"})

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        _require_group(aws, inputs["autoscalingGroupName"])
        self.call(aws, self.creates, **self.members(inputs))
        return f"{inputs['autoscalingGroupName']},{inputs['lbTargetGroupArn']}"

    def read(self, aws: Cloud, identity: str) -> Properties:
        group, _, target = identity.partition(",")
        _require_group(aws, group)
        told = self.call(aws, "DescribeLoadBalancerTargetGroups", AutoScalingGroupName=group)
        arns = [each["LoadBalancerTargetGroupARN"] for each in told["LoadBalancerTargetGroups"]]
        if target not in arns:
            raise GoneError(identity)
        return {"autoscalingGroupName": group, "lbTargetGroupArn": target}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.read(aws, identity)
        group, _, target = identity.partition(",")
        self.call(aws, "DetachLoadBalancerTargetGroups", AutoScalingGroupName=group, TargetGroupARNs=[target])


def _require_group(aws: Cloud, name: str) -> None:
    """Raise GoneError for an autoscaling group that does not exist, at which moto breaks."""
    if not aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
        "AutoScalingGroups"
    ]:
        raise GoneError(name)


ADAPTERS = (LoadBalancer, TargetGroup, Listener, Attachment)
