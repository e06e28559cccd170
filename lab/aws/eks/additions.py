"""EKS operations missing from moto: access entries, add-ons, pod identities, and their tags."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.core.responses import ActionResult, EmptyResult
from moto.eks.exceptions import InvalidParameterException, ResourceInUseException, ResourceNotFoundException

from lab.aws.eks.cluster import beside
from lab.aws.eks.operations import Operations

if TYPE_CHECKING:
    from moto.eks.models import Cluster

POLICIES = {
    f"AmazonEKS{name}Policy": f"arn:aws:eks::aws:cluster-access-policy/AmazonEKS{name}Policy"
    for name in ("ClusterAdmin", "Admin", "Edit", "View", "AdminView")
}


class Additions(Operations):
    """Each method implements the operation of that name; input is validated by botocore's model."""

    def create_access_entry(self) -> ActionResult:
        asked = self.arguments("CreateAccessEntry")
        cluster = self.active_cluster(asked["clusterName"])
        return ActionResult({"accessEntry": self.new_access_entry(cluster, asked)})

    def new_access_entry(self, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
        arn, entries = asked["principalArn"], beside(cluster).access_entries
        if arn in entries:
            raise ResourceInUseException(message="The specified access entry resource is already in use.")
        if any(group.startswith("system:") for group in asked.get("kubernetesGroups", [])):
            raise InvalidParameterException(message="The kubernetes group name cannot start with system:")
        entries[arn] = {
            "clusterName": cluster.name,
            "principalArn": arn,
            "kubernetesGroups": asked.get("kubernetesGroups", []),
            "accessEntryArn": self._arn(cluster, "access-entry", arn.rpartition(":")[2]),
            "tags": asked.get("tags", {}),
            "username": asked.get("username", arn),
            "type": asked.get("type", "STANDARD"),
            **_now("createdAt", "modifiedAt"),
        }
        return entries[arn]

    def _entry(self, asked: dict[str, Any]) -> tuple[Cluster, dict[str, Any]]:
        cluster = self.cluster(asked["clusterName"])
        return cluster, _of(beside(cluster).access_entries, asked["principalArn"], "access entry")

    def describe_access_entry(self) -> ActionResult:
        return ActionResult({"accessEntry": self._entry(self.arguments("DescribeAccessEntry"))[1]})

    def list_access_entries(self) -> ActionResult:
        asked = self.arguments("ListAccessEntries")
        held = beside(self.cluster(asked["clusterName"]))
        wanted = asked.get("associatedPolicyArn")
        return ActionResult(
            {
                "accessEntries": [
                    arn
                    for arn in held.access_entries
                    if not wanted or wanted in held.access_policies.get(arn, {})
                ]
            }
        )

    def update_access_entry(self) -> ActionResult:
        asked = self.arguments("UpdateAccessEntry")
        _, entry = self._entry(asked)
        entry |= {key: asked[key] for key in ("kubernetesGroups", "username") if key in asked}
        entry |= _now("modifiedAt")
        return ActionResult({"accessEntry": entry})

    def delete_access_entry(self) -> EmptyResult:
        asked = self.arguments("DeleteAccessEntry")
        cluster, _ = self._entry(asked)
        beside(cluster).access_entries.pop(asked["principalArn"])
        beside(cluster).access_policies.pop(asked["principalArn"], None)
        return EmptyResult()

    def list_access_policies(self) -> ActionResult:
        return ActionResult(
            {"accessPolicies": [{"name": name, "arn": arn} for name, arn in POLICIES.items()]}
        )

    def associate_access_policy(self) -> ActionResult:
        asked = self.arguments("AssociateAccessPolicy")
        cluster, entry = self._entry(asked)
        made = self.new_access_policy(
            cluster, entry["principalArn"], asked["policyArn"], asked["accessScope"]
        )
        told = {"clusterName": cluster.name, "principalArn": entry["principalArn"]}
        return ActionResult(told | {"associatedAccessPolicy": made})

    def new_access_policy(
        self, cluster: Cluster, arn: str, policy: str, scope: dict[str, Any]
    ) -> dict[str, Any]:
        if policy not in POLICIES.values():
            raise InvalidParameterException(message=f"The policyArn {policy} is not one that the lab knows")
        policies = beside(cluster).access_policies.setdefault(arn, {})
        policies[policy] = {
            "policyArn": policy,
            "accessScope": {"namespaces": [], **scope},
            **_now("associatedAt", "modifiedAt"),
        }
        return policies[policy]

    def disassociate_access_policy(self) -> EmptyResult:
        asked = self.arguments("DisassociateAccessPolicy")
        cluster, _ = self._entry(asked)
        policies = beside(cluster).access_policies.get(asked["principalArn"], {})
        _of(policies, asked["policyArn"], "access policy")
        del policies[asked["policyArn"]]
        return EmptyResult()

    def list_associated_access_policies(self) -> ActionResult:
        asked = self.arguments("ListAssociatedAccessPolicies")
        cluster, _ = self._entry(asked)
        policies = beside(cluster).access_policies.get(asked["principalArn"], {})
        told = {"clusterName": cluster.name, "principalArn": asked["principalArn"]}
        return ActionResult(told | {"associatedAccessPolicies": list(policies.values())})

    def create_addon(self) -> ActionResult:
        asked = self.arguments("CreateAddon")
        cluster, name = self.active_cluster(asked["clusterName"]), asked["addonName"]
        if name in beside(cluster).addons:
            raise ResourceInUseException(message=f"Addon {name} already exists on the cluster")
        settings = {key: asked[key] for key in _ADDON if key in asked}
        beside(cluster).addons[name] = {
            "addonVersion": "v1.0.0-eksbuild.1",
            "tags": {},
            **settings,
            "addonName": name,
            "clusterName": cluster.name,
            "status": "ACTIVE",
            "health": {"issues": []},
            "addonArn": self._arn(cluster, "addon", name, str(uuid.uuid4())),
            **_now("createdAt", "modifiedAt"),
        }
        return ActionResult({"addon": beside(cluster).addons[name]})

    def _addon(self, operation: str) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = self.arguments(operation)
        held = beside(self.cluster(asked["clusterName"])).addons
        return asked, _of(held, asked["addonName"], "addon")

    def describe_addon(self) -> ActionResult:
        return ActionResult({"addon": self._addon("DescribeAddon")[1]})

    def list_addons(self) -> ActionResult:
        cluster = self.cluster(self.arguments("ListAddons")["clusterName"])
        return ActionResult({"addons": list(beside(cluster).addons)})

    def update_addon(self) -> ActionResult:
        asked, addon = self._addon("UpdateAddon")
        addon |= {key: asked[key] for key in _ADDON if key in asked} | _now("modifiedAt")
        return self.done("AddonUpdate")

    def delete_addon(self) -> ActionResult:
        asked, addon = self._addon("DeleteAddon")
        del beside(self.cluster(asked["clusterName"])).addons[asked["addonName"]]
        return ActionResult({"addon": addon | {"status": "DELETING"}})

    def create_pod_identity_association(self) -> ActionResult:
        asked = self.arguments("CreatePodIdentityAssociation")
        cluster = self.cluster(asked["clusterName"])
        held = beside(cluster).pod_identities
        whom = ("namespace", "serviceAccount")
        if any(all(each[key] == asked[key] for key in whom) for each in held.values()):
            raise ResourceInUseException(message="Association already exists")
        number = f"a-{uuid.uuid4().hex[:17]}"
        held[number] = {
            "tags": {},
            **{key: value for key, value in asked.items() if key != "clientRequestToken"},
            "associationId": number,
            "associationArn": self._arn(cluster, "podidentityassociation", number),
            **_now("createdAt", "modifiedAt"),
        }
        return ActionResult({"association": held[number]})

    def _association(self, operation: str) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = self.arguments(operation)
        held = beside(self.cluster(asked["clusterName"])).pod_identities
        return asked, _of(held, asked["associationId"], "association")

    def describe_pod_identity_association(self) -> ActionResult:
        return ActionResult({"association": self._association("DescribePodIdentityAssociation")[1]})

    def list_pod_identity_associations(self) -> ActionResult:
        cluster = self.cluster(self.arguments("ListPodIdentityAssociations")["clusterName"])
        return ActionResult({"associations": list(beside(cluster).pod_identities.values())})

    def update_pod_identity_association(self) -> ActionResult:
        asked, association = self._association("UpdatePodIdentityAssociation")
        changeable = ("roleArn", "targetRoleArn", "disableSessionTags", "policy")
        association |= {key: asked[key] for key in changeable if key in asked} | _now("modifiedAt")
        return ActionResult({"association": association})

    def delete_pod_identity_association(self) -> ActionResult:
        asked, association = self._association("DeletePodIdentityAssociation")
        del beside(self.cluster(asked["clusterName"])).pod_identities[asked["associationId"]]
        return ActionResult({"association": association})

    def _tagged(self) -> dict[str, Any] | None:
        """Return the request's resource, if moto does not store its tags."""
        arn = unquote(self.path).partition("/tags/")[2]
        for cluster in self.eks_backend.clusters.values():
            held = dict(beside(cluster).tagged())
            if arn in held:
                return held[arn]
            for group in cluster.nodegroups.values():
                if group.arn == arn:
                    group.tags = group.tags or {}
                    return {"tags": group.tags}
        return None

    def tag_resource(self) -> ActionResult:
        if (thing := self._tagged()) is None:
            return super().tag_resource()
        thing["tags"].update(self._get_param("tags"))
        return EmptyResult()

    def untag_resource(self) -> ActionResult:
        if (thing := self._tagged()) is None:
            return super().untag_resource()
        for key in self.querystring.get("tagKeys", []):
            thing["tags"].pop(key, None)
        return EmptyResult()

    def list_tags_for_resource(self) -> ActionResult:
        if (thing := self._tagged()) is None:
            return super().list_tags_for_resource()
        return ActionResult({"tags": thing["tags"]})

    def _arn(self, cluster: Cluster, kind: str, *parts: str) -> str:
        place = f"arn:aws:eks:{self.region}:{self.current_account}"
        return ":".join([place, "/".join([kind, cluster.name, *parts])])


_ADDON = ("addonVersion", "configurationValues", "serviceAccountRoleArn", "tags", "namespaceConfig")
"""An add-on's settings as requested."""


def _of(held: dict[str, dict[str, Any]], key: str, what: str) -> dict[str, Any]:
    if key not in held:
        raise ResourceNotFoundException(message=f"The specified {what} resource could not be found: {key}")
    return held[key]


def _now(*names: str) -> dict[str, dt.datetime]:
    return dict.fromkeys(names, dt.datetime.now(dt.UTC))
