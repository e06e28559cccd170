"""An EKS cluster: private by default, with encrypted secrets, control-plane logs and explicit access entries."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi_aws import cloudwatch, eks, iam, kms

from components.aws.policies import KEY_USE, customer_key, document, role, trust
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from components.aws.location import Location

_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_ADMINISTRATION = "cluster-access-policy/AmazonEKSClusterAdminPolicy"
_ADDONS: Mapping[str, Mapping[str, Any]] = {
    # Without it EKS enforces no NetworkPolicy: https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html
    "vpc-cni": {"enableNetworkPolicy": "true"},
    "kube-proxy": {},
    "eks-pod-identity-agent": {},
}
"""Add-ons that nodes need to become ready, so they come first, and their settings; CoreDNS needs nodes: see
`system_nodes`."""
KEPT_LOGS = "/aws/containerinsights"
"""Where CloudWatch's agent keeps what a cluster's pods say, if it is installed."""
_MONITORING = "eks-node-monitoring-agent"
# Its part for GPUs tolerates no taint by itself, so it would look at no GPU:
# https://github.com/aws/eks-node-monitoring-agent, charts/eks-node-monitoring-agent/values.yaml, read 2026-11.
_WATCH_GPUS = {"dcgmAgent": {"tolerations": [{"operator": "Exists"}]}}
_KNOWN_ADDONS = (*_ADDONS, _MONITORING, "coredns", "amazon-cloudwatch-observability")


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Inputs of a cluster.

    Attributes:
        location: account and region.
        cluster_name: its name in EKS, unique in account and region.
        subnet_ids: private subnets in two zones or more.
        version: Kubernetes' minor version, as in `1.34`.
        admins: ARNs of roles or users that get cluster-admin. Nobody else has access, not even the creator:
            include the deployer.
        public_from: networks that may reach the API over the internet; empty: only from the VPC.
        log_days: retention of the control plane's logs.
        extended_support: whether it keeps its version when standard support ends, for six times the price; otherwise
            EKS upgrades it.
        addons: versions of add-ons, by name; others have EKS's default at the time.
        monitor_nodes: whether an add-on watches nodes and their GPUs, for EKS to repair them.

    """

    location: Location
    cluster_name: str
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    version: str
    admins: Sequence[str]
    public_from: Sequence[str] = ()
    log_days: int = 90
    extended_support: bool = False
    addons: Mapping[str, str] = field(default_factory=dict)
    monitor_nodes: bool = True


class Cluster(pulumi.ComponentResource):
    """A control plane with the add-ons that nodes need; nodes are separate resources.

    Resources in it list it in `depends_on`, so that access and add-ons exist too.

    Raises:
        CloudError: a name, version, admin or network that EKS would refuse, or that is open to everybody.

    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]
    endpoint: pulumi.Output[str]
    authority: pulumi.Output[str]
    """The CA certificate that verifies the endpoint, PEM in base64."""
    kubeconfig: pulumi.Output[str]
    """JSON, without secrets: clients get a token from `aws eks get-token`."""
    security_group_id: pulumi.Output[str]
    """EKS's own security group: its nodes and the control plane reach each other."""
    key_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the cluster under `name`."""
        _check(args)
        super().__init__("scenario:aws:Cluster", name, None, opts)
        self._own = pulumi.ResourceOptions(parent=self)
        key = self._key(name, args)
        logs = cloudwatch.LogGroup(
            f"{name}-logs",
            # EKS would otherwise create a log group that is not encrypted and never removed.
            name=_log_group(args),
            retention_in_days=args.log_days,
            kms_key_id=key.arn,
            opts=self._own,
        )
        who, rights = self._role(name, args.location, key)
        made = eks.Cluster(
            name,
            name=args.cluster_name,
            role_arn=who.arn,
            version=args.version,
            upgrade_policy={"support_type": "EXTENDED" if args.extended_support else "STANDARD"},
            vpc_config=_reach(args),
            access_config={
                "authentication_mode": "API",
                "bootstrap_cluster_creator_admin_permissions": False,
            },
            encryption_config={"provider": {"key_arn": key.arn}, "resources": ["secrets"]},
            enabled_cluster_log_types=list(_LOGS),
            bootstrap_self_managed_addons=False,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs, *rights]),
        )
        self._access(name, made, args)
        self._addons(name, made, args)
        self.name, self.arn, self.endpoint, self.key_arn = made.name, made.arn, made.endpoint, key.arn
        self.authority = made.certificate_authority.apply(lambda authority: str(authority.data))
        self.security_group_id = made.vpc_config.apply(lambda config: str(config.cluster_security_group_id))
        # Without annotations above, which Pulumi would evaluate.
        self.location, self.version, self.addons = args.location, args.version, args.addons
        self.cluster_name = args.cluster_name
        self.kubeconfig = kubeconfig(args.location, made.name, made.endpoint, self.authority)
        outputs = ("name", "arn", "endpoint", "authority", "kubeconfig", "security_group_id", "key_arn")
        self.register_outputs({output: getattr(self, output) for output in outputs})

    def _key(self, name: str, args: ClusterArgs) -> kms.Key:
        """Declare the key of Kubernetes' secrets and of the logs."""
        groups = (_log_group(args), f"{KEPT_LOGS}/{args.cluster_name}/*")
        where = [args.location.arn("logs", f"log-group:{each}") for each in groups]
        logs = {
            "Sid": "LogsOfThisCluster",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{args.location.region}.amazonaws.com"},
            "Action": sorted(KEY_USE),
            "Resource": "*",
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": where}},
        }
        purpose = f"secrets and logs of the EKS cluster {args.cluster_name}"
        return customer_key(name, args.location, purpose, statements=[logs], opts=self._own)

    def _role(self, name: str, location: Location, key: kms.Key) -> tuple[iam.Role, list[pulumi.Resource]]:
        """Declare the control plane's role; return it with what must exist before the cluster."""
        made = role(f"{name}-control-plane", location, trust("eks.amazonaws.com"), self._own)
        managed = iam.RolePolicyAttachment(
            f"{name}-control-plane",
            role=made.name,
            policy_arn=location.managed_policy("AmazonEKSClusterPolicy"),
            opts=self._own,
        )
        secrets = iam.RolePolicy(
            f"{name}-secrets",
            role=made.id,
            policy=document(
                [
                    {
                        "Effect": "Allow",
                        "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ListGrants"],
                        "Resource": key.arn,
                    }
                ]
            ),
            opts=self._own,
        )
        return made, [managed, secrets]

    def _access(self, name: str, made: eks.Cluster, args: ClusterArgs) -> None:
        """Grant access to the admins by access entries; the legacy aws-auth ConfigMap is ignored."""
        for arn in args.admins:
            who = f"{name}-{arn.rpartition(':')[2].replace('/', '-')}"
            entry = eks.AccessEntry(who, cluster_name=made.name, principal_arn=arn, opts=self._own)
            eks.AccessPolicyAssociation(
                who,
                cluster_name=made.name,
                principal_arn=entry.principal_arn,
                policy_arn=f"arn:{args.location.partition}:eks::aws:{_ADMINISTRATION}",
                access_scope={"type": "cluster"},
                opts=self._own,
            )

    def _addons(self, name: str, made: eks.Cluster, args: ClusterArgs) -> None:
        watching = {_MONITORING: _WATCH_GPUS} if args.monitor_nodes else {}
        for addon, settings in {**_ADDONS, **watching}.items():
            eks.Addon(
                f"{name}-{addon}",
                cluster_name=made.name,
                addon_name=addon,
                addon_version=args.addons.get(addon),
                configuration_values=json.dumps(settings) if settings else None,
                opts=self._own,
            )


def kubeconfig(
    location: Location,
    cluster_name: pulumi.Input[str],
    endpoint: pulumi.Input[str],
    authority: pulumi.Input[str],
) -> pulumi.Output[str]:
    """Return a kubeconfig in JSON that authenticates by the AWS CLI, as the location's caller."""
    told = ["--cluster-name", cluster_name, "--output", "json", *location.caller.token_arguments()]
    arguments = ["--region", location.region, "eks", "get-token", *told]
    access = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "aws",
        "args": arguments,
        "interactiveMode": "Never",
    }
    server = {"server": endpoint, "certificate-authority-data": authority}
    return pulumi.Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "eks", "cluster": server}],
            "users": [{"name": "aws", "user": {"exec": access}}],
            "contexts": [{"name": "eks", "context": {"cluster": "eks", "user": "aws"}}],
            "current-context": "eks",
        }
    )


def _reach(args: ClusterArgs) -> eks.ClusterVpcConfigArgs:
    if not args.public_from:
        return eks.ClusterVpcConfigArgs(
            subnet_ids=args.subnet_ids, endpoint_private_access=True, endpoint_public_access=False
        )
    return eks.ClusterVpcConfigArgs(
        subnet_ids=args.subnet_ids,
        endpoint_private_access=True,
        endpoint_public_access=True,
        public_access_cidrs=list(args.public_from),
    )


def _log_group(args: ClusterArgs) -> str:
    return f"/aws/eks/{args.cluster_name}/cluster"


def _check(args: ClusterArgs) -> None:
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", args.cluster_name):
        raise CloudError(
            f"invalid EKS cluster name {args.cluster_name!r}: use letters, digits, - and _, at most 100, "
            "starting with a letter or digit"
        )
    if not re.fullmatch(r"1\.\d{2}", args.version):
        raise CloudError(f"EKS has no Kubernetes version {args.version!r}; write it as in '1.34'")
    if not args.admins:
        raise CloudError("the cluster has no admins; add the deployer's role or user ARN")
    for arn in args.admins:
        if not re.fullmatch(r"arn:aws[a-z-]*:(iam|sts)::\d{12}:(role|user)/\S+", arn):
            raise CloudError(
                f"admin {arn!r} is not the ARN of a role or user (of the role, not of its session); "
                "as in arn:aws:iam::123456789012:role/deployer"
            )
    for addon in args.addons:
        if addon not in _KNOWN_ADDONS:
            raise CloudError(f"there is no add-on {addon!r} here; the cluster has {', '.join(_KNOWN_ADDONS)}")
    for block in args.public_from:
        _check_public(block)


def _check_public(block: str) -> None:
    try:
        network = ipaddress.IPv4Network(block)
    except ValueError as error:
        raise CloudError(f"public access from {block!r}: {error}; write it as in 203.0.113.7/32") from None
    if network.prefixlen < 16:
        raise CloudError(
            f"public access from {block} admits {network.num_addresses} addresses; list your own networks, of "
            "prefix 16 or longer, or none for private access only"
        )
