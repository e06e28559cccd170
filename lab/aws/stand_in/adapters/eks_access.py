"""Access to an EKS cluster, and its pods' roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.adapters.eks import Eks

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class AccessEntry(Eks):
    token, creates = "aws:eks/accessEntry:AccessEntry", "CreateAccessEntry"
    names = {"userName": "username"}
    reads = {"userName": "username", "arn": "accessEntryArn"}
    replaces = frozenset({"clusterName", "principalArn", "type"})
    updates = frozenset({"kubernetesGroups", "userName"})
    collides = frozenset({"clusterName", "principalArn"})

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.make(aws, inputs, tags)
        return f"{inputs['clusterName']}:{inputs['principalArn']}"

    def read(self, aws: Cloud, identity: str) -> Properties:
        cluster, _, arn = identity.partition(":")
        found = self.call(aws, "DescribeAccessEntry", clusterName=cluster, principalArn=arn)
        return self.outputs(found["accessEntry"])

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        cluster, _, arn = identity.partition(":")
        members = self.members(inputs)
        told = {
            "kubernetesGroups": members.get("kubernetesGroups", []),
            "username": members.get("username", arn),
        }
        self.call(aws, "UpdateAccessEntry", clusterName=cluster, principalArn=arn, **told)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        cluster, _, arn = identity.partition(":")
        self.call(aws, "DeleteAccessEntry", clusterName=cluster, principalArn=arn)


class AccessPolicyAssociation(Adapter):
    token = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"
    service, creates = "eks", "AssociateAccessPolicy"
    replaces = frozenset({"clusterName", "principalArn", "policyArn", "accessScope"})
    collides = frozenset({"clusterName", "principalArn", "policyArn"})

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs))
        return "#".join(inputs[name] for name in ("clusterName", "principalArn", "policyArn"))

    def read(self, aws: Cloud, identity: str) -> Properties:
        cluster, arn, policy = identity.split("#")
        told = self.call(aws, "ListAssociatedAccessPolicies", clusterName=cluster, principalArn=arn)
        for each in told["associatedAccessPolicies"]:
            if each["policyArn"] == policy:
                return {"clusterName": cluster, "principalArn": arn} | self.outputs(each)
        raise GoneError(identity)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        cluster, arn, policy = identity.split("#")
        self.call(aws, "DisassociateAccessPolicy", clusterName=cluster, principalArn=arn, policyArn=policy)


class PodIdentityAssociation(Eks):
    token, creates = "aws:eks/podIdentityAssociation:PodIdentityAssociation", "CreatePodIdentityAssociation"
    documents = {"policy": "identity"}
    replaces = frozenset({"clusterName", "namespace", "serviceAccount"})
    updates = frozenset({"roleArn", "targetRoleArn", "disableSessionTags", "policy"})
    collides = replaces

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        made = self.make(aws, inputs, tags)["association"]
        return f"{inputs['clusterName']}:{made['associationId']}"

    def imported(self, aws: Cloud, identity: str) -> str:
        """Its two parts are separated by a comma there."""
        return identity.replace(",", ":")

    def _who(self, identity: str) -> Properties:
        cluster, _, number = identity.partition(":")
        return {"clusterName": cluster, "associationId": number}

    def read(self, aws: Cloud, identity: str) -> Properties:
        found = self.call(aws, "DescribePodIdentityAssociation", **self._who(identity))["association"]
        return self.outputs(found) | {"arn": found["associationArn"]}

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        members = self.members(inputs)
        told = {name: members[name] for name in self.updates if name in members}
        self.call(aws, "UpdatePodIdentityAssociation", **self._who(identity), **told)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, "DeletePodIdentityAssociation", **self._who(identity))


ADAPTERS = (AccessEntry, AccessPolicyAssociation, PodIdentityAssociation)
