"""moto's EKS with a real Kubernetes behind its clusters and the checks that EKS makes of subnets."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from botocore.session import get_session
from botocore.validate import ParamValidator
from moto.core.responses import ActionResult
from moto.eks.exceptions import (
    EKSError,
    InvalidParameterException,
    InvalidRequestException,
    ResourceNotFoundException,
)
from moto.eks.responses import EKSResponse
from moto.sts.models import sts_backends

from lab.aws.eks import cluster as clusters

if TYPE_CHECKING:
    from moto.eks.models import Cluster

_MODEL = get_session().get_service_model("eks")
_KEPT = ("accessConfig", "upgradePolicy", "deletionProtection", "zonalShiftConfig")
"""Cluster settings that moto drops, with the name of EKS's member."""
_DEFAULTS = {
    "accessConfig": {"authenticationMode": "API_AND_CONFIG_MAP"},
    "upgradePolicy": {"supportType": "EXTENDED"},
    "deletionProtection": False,
}
CLUSTER_ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


class NotHereError(EKSError):
    """An operation that neither moto nor the lab has."""

    TYPE = "NotImplementedByTheLab"
    STATUS = 501


class Operations(EKSResponse):
    """Handler of EKS's requests; a subclass has the operations missing from moto."""

    kubeconfig = Path()

    def arguments(self, operation: str) -> dict[str, Any]:
        """Return the input, validated by botocore's model of the operation, or refuse it as EKS does."""
        shape = _MODEL.operation_model(operation).input_shape
        told = {
            name: self._get_param(member.serialization.get("name", name))
            for name, member in shape.members.items()
        }
        told = {name: value for name, value in told.items() if value is not None}
        report = ParamValidator().validate(told, shape)
        if report.has_errors():
            raise InvalidParameterException(message=report.generate_report())
        return told

    def cluster(self, name: str) -> Cluster:
        """Return moto's cluster, or refuse with EKS's error."""
        found = self.eks_backend.clusters.get(name)
        if found is None:
            raise ResourceNotFoundException(message=f"No cluster found for name: {name}.")
        clusters.keep_status(found)
        return found

    def active_cluster(self, name: str) -> Cluster:
        """Return moto's cluster, or refuse one that is still being made, as moto refuses it a node group."""
        found = self.cluster(name)
        if not found.is_active:
            raise InvalidRequestException(message=f"Cluster '{name}' is not in ACTIVE status")
        return found

    def caller(self) -> str:
        """Return the caller's ARN: of the role, for a session of one."""
        _, arn, _ = sts_backends[self.current_account]["aws"].get_caller_identity(
            self.get_access_key(), self.region
        )
        return principal(arn)

    def create_cluster(self) -> ActionResult:
        """Create it if its subnets and security groups exist, with EKS's own security group."""
        asked = self.arguments("CreateCluster")
        network = asked["resourcesVpcConfig"]
        vpc = clusters.check_subnets(self.eks_backend, network.get("subnetIds", []))
        clusters.check_security_groups(self.eks_backend, network.get("securityGroupIds", []))
        super().create_cluster()
        made = self.cluster(asked["name"])
        group = clusters.make_security_group(self.eks_backend, made.name, vpc)
        made.resources_vpc_config = {
            "endpointPublicAccess": True,
            "endpointPrivateAccess": False,
            "publicAccessCidrs": ["0.0.0.0/0"],
            "securityGroupIds": [],
            **network,
            "vpcId": vpc,
            "clusterSecurityGroupId": group,
        }
        for setting in _KEPT:
            default = _DEFAULTS.get(setting)
            value = asked.get(setting, default)
            setattr(made, setting, {**default, **value} if isinstance(default, dict) else value)
        self._let_the_creator_in(made, asked.get("accessConfig", {}))
        return self.describe_cluster()

    def _let_the_creator_in(self, made: Cluster, access: dict[str, Any]) -> None:
        if access.get("bootstrapClusterCreatorAdminPermissions", True):
            entry = self.new_access_entry(made, {"clusterName": made.name, "principalArn": self.caller()})
            self.new_access_policy(made, entry["principalArn"], CLUSTER_ADMIN, {"type": "cluster"})

    @abstractmethod
    def new_access_entry(self, cluster: Cluster, asked: dict[str, Any]) -> dict[str, Any]:
        """Give a principal an entry; implemented in a subclass."""

    @abstractmethod
    def new_access_policy(
        self, cluster: Cluster, arn: str, policy: str, scope: dict[str, Any]
    ) -> dict[str, Any]:
        """Give an entry a policy; implemented in a subclass."""

    def describe_cluster(self) -> ActionResult:
        """Describe it, with the lab's Kubernetes as its endpoint."""
        found = self.cluster(self._get_param("name"))
        clusters.put_kubernetes_behind(found, self.kubeconfig)
        return ActionResult({"cluster": clusters.as_described(found)})

    def update_cluster_config(self) -> ActionResult:
        """Change only the given settings, as EKS does and moto does not."""
        asked = self.arguments("UpdateClusterConfig")
        found = self.cluster(asked["name"])
        network = asked.get("resourcesVpcConfig", {})
        if "subnetIds" in network:
            clusters.check_subnets(self.eks_backend, network["subnetIds"])
        found.resources_vpc_config = {**found.resources_vpc_config, **network}
        found.logging = asked.get("logging", found.logging)
        for setting in _KEPT:
            if setting in asked:
                before = getattr(found, setting)
                new = asked[setting]
                setattr(found, setting, {**(before or {}), **new} if isinstance(new, dict) else new)
        return self.done("ConfigUpdate")

    def update_cluster_version(self) -> ActionResult:
        """Set the new version; the Kubernetes behind it stays unchanged."""
        asked = self.arguments("UpdateClusterVersion")
        self.cluster(asked["name"]).version = asked["version"]
        return self.done("VersionUpdate")

    def delete_cluster(self) -> ActionResult:
        """Delete it with its security group."""
        found = self.cluster(self._get_param("name"))
        done = super().delete_cluster()
        clusters.remove_security_group(self.eks_backend, found.resources_vpc_config["clusterSecurityGroupId"])
        return done

    def create_nodegroup(self) -> ActionResult:
        """Create it if its subnets exist."""
        asked = self.arguments("CreateNodegroup")
        self.active_cluster(asked["clusterName"])
        clusters.check_subnets(self.eks_backend, asked["subnets"])
        return super().create_nodegroup()

    def update_nodegroup_version(self) -> ActionResult:
        """Set the new versions; no node is replaced, as there is none."""
        asked = self.arguments("UpdateNodegroupVersion")
        group = self.cluster(asked["clusterName"]).nodegroups.get(asked["nodegroupName"])
        if group is None:
            raise ResourceNotFoundException(
                message=f"No node group found for name: {asked['nodegroupName']}."
            )
        for name, member in (("version", "version"), ("releaseVersion", "release_version")):
            setattr(group, member, asked.get(name, getattr(group, member)))
        if "launchTemplate" in asked:
            group.launch_template = {**(group.launch_template or {}), **asked["launchTemplate"]}
        return self.done("VersionUpdate")

    def call_action(self) -> Any:
        """Report a missing operation by name: moto's own 404 looks like a deleted resource."""
        action = self._get_action()
        if action is None or not hasattr(self, xform_name(action)):
            raise NotHereError(message=f"the lab's EKS has no {action or 'such operation'}")
        return super().call_action()

    def done(self, kind: str) -> ActionResult:
        """Return a completed update."""
        return ActionResult({"update": {"id": f"lab-{kind}", "status": "Successful", "type": kind}})


def principal(arn: str) -> str:
    """Return the ARN used in access entries: of the role, for a session of it."""
    kind, _, rest = arn.partition(":assumed-role/")
    return f"{kind.replace(':sts:', ':iam:')}:role/{rest.split('/')[0]}" if rest else arn
