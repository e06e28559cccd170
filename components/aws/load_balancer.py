"""An internal load balancer that passes TCP through to a port of every node, and PrivateLink in front of it.

It ends no TLS: the pods know sites by their certificates. Sources: the guide of Network Load Balancers
(https://docs.aws.amazon.com/elasticloadbalancing/latest/network/) and of endpoint services
(https://docs.aws.amazon.com/vpc/latest/privatelink/create-endpoint-service.html), read 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import autoscaling, ec2, lb, vpc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """One port of the load balancer, which leads to the same port of every node.

    Attributes:
        port: a node port of Kubernetes.
        clients: networks that may reach it; empty: all private addresses.
        drain_seconds: how long connections to a node that leaves may last.

    """

    port: int
    clients: Sequence[str] = ()
    drain_seconds: int = 0


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """Inputs of a load balancer.

    Attributes:
        vpc_id: the nodes' network.
        subnet_ids: private subnets, one per zone.
        nodes_security_group_id: the nodes' security group, which lets the load balancer in.
        scaling_groups: the nodes' autoscaling groups, by a name for each.
        entrances: by name.
        principals: ARNs of accounts, roles or users that may connect through PrivateLink; empty: no PrivateLink.

    """

    vpc_id: pulumi.Input[str]
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    nodes_security_group_id: pulumi.Input[str]
    scaling_groups: Mapping[str, pulumi.Input[str]]
    entrances: Mapping[str, Entrance]
    principals: Sequence[str] = ()


class LoadBalancer(pulumi.ComponentResource):
    """A load balancer in all zones, without an address on the internet.

    Attributes:
        host: its name, which resolves to private addresses everywhere.
        private_link: the name of its endpoint service; empty without principals.

    """

    host: pulumi.Output[str]
    private_link: pulumi.Output[str]

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the load balancer under `name`."""
        super().__init__("scenario:aws:LoadBalancer", name, None, opts)
        self._name, self._own = name, pulumi.ResourceOptions(parent=self)
        group = ec2.SecurityGroup(
            name,
            vpc_id=args.vpc_id,
            description="The load balancer of sites and their clients",
            tags={"Name": name},
            opts=self._own,
        )
        balancer = lb.LoadBalancer(
            name,
            load_balancer_type="network",
            internal=True,
            subnets=args.subnet_ids,
            security_groups=[group.id],
            enable_cross_zone_load_balancing=True,
            # Who comes through PrivateLink was let in by the service, and has an address of another network.
            enforce_security_group_inbound_rules_on_private_link_traffic="off" if args.principals else None,
            tags={"Name": name},
            opts=self._own,
        )
        for each, entrance in args.entrances.items():
            self._rules(f"{name}-{each}", args, entrance, group)
            self._lead(f"{name}-{each}", args, entrance, balancer)
        self.host = balancer.dns_name
        self.private_link = self._service(args, balancer)
        self.register_outputs({"host": self.host, "private_link": self.private_link})

    def _rules(self, name: str, args: LoadBalancerArgs, entrance: Entrance, group: ec2.SecurityGroup) -> None:
        """Let clients reach the load balancer, and it the nodes."""
        for block in entrance.clients or _PRIVATE:
            rule = f"{name}-{block}"
            vpc.SecurityGroupIngressRule(
                rule,
                security_group_id=group.id,
                description="Clients",
                cidr_ipv4=block,
                tags={"Name": rule},
                ip_protocol="tcp",
                from_port=entrance.port,
                to_port=entrance.port,
                opts=self._own,
            )
        vpc.SecurityGroupEgressRule(
            f"{name}-nodes",
            security_group_id=group.id,
            description="Nodes",
            referenced_security_group_id=args.nodes_security_group_id,
            tags={"Name": f"{name}-nodes"},
            ip_protocol="tcp",
            from_port=entrance.port,
            to_port=entrance.port,
            opts=self._own,
        )
        vpc.SecurityGroupIngressRule(
            f"{name}-balancer",
            security_group_id=args.nodes_security_group_id,
            description="The load balancer",
            referenced_security_group_id=group.id,
            tags={"Name": f"{name}-balancer"},
            ip_protocol="tcp",
            from_port=entrance.port,
            to_port=entrance.port,
            opts=self._own,
        )

    def _lead(self, name: str, args: LoadBalancerArgs, entrance: Entrance, balancer: lb.LoadBalancer) -> None:
        target = lb.TargetGroup(
            name,
            vpc_id=args.vpc_id,
            port=entrance.port,
            protocol="TCP",
            target_type="instance",
            # Nodes forward to pods of other nodes, which would see a node's address anyway.
            preserve_client_ip="false",
            deregistration_delay=entrance.drain_seconds,
            health_check={
                "protocol": "TCP",
                "interval": 10,
                "healthy_threshold": 2,
                "unhealthy_threshold": 2,
            },
            tags={"Name": name},
            opts=self._own,
        )
        lb.Listener(
            name,
            load_balancer_arn=balancer.arn,
            port=entrance.port,
            protocol="TCP",
            default_actions=[{"type": "forward", "target_group_arn": target.arn}],
            tags={"Name": name},
            opts=self._own,
        )
        for each, scaling_group in args.scaling_groups.items():
            autoscaling.Attachment(
                f"{name}-{each}",
                autoscaling_group_name=scaling_group,
                lb_target_group_arn=target.arn,
                opts=self._own,
            )

    def _service(self, args: LoadBalancerArgs, balancer: lb.LoadBalancer) -> pulumi.Output[str]:
        if not args.principals:
            return pulumi.Output.from_input("")
        service = ec2.VpcEndpointService(
            self._name,
            # Who may connect is listed, so nobody has to accept each connection.
            acceptance_required=False,
            allowed_principals=list(args.principals),
            network_load_balancer_arns=[balancer.arn],
            tags={"Name": self._name},
            opts=self._own,
        )
        return service.service_name
