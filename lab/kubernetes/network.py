"""The cloud's network: behind the outside network, and on its own link to this machine.

    premises -- router -- wan ||| router -- outside -- cloud ||| wan -- node -- cni0 -- pods
                                                                  |
                                                               machine ||| this machine

From the premises the only path to it is through their router. The second link is for this machine's user,
whose kubectl works also while the first one is cut; nothing is forwarded between the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lab.commands import run
from lab.kubernetes import PODS
from lab.premises.addresses import Addresses

if TYPE_CHECKING:
    from lab.namespaces import Namespaces
    from lab.premises.namespaces import PremisesNamespaces
    from lab.record import Record

_OUTWARD = "wan"
"""The node's interface to the outside network."""
_CLOUD = "cloud"
"""The outside network's interface to the cloud."""

# Packets from pods leave the cluster with the node's address: there is no route to theirs outside.
_RULES = f"""
table inet lab {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    oifname "machine" ct state new drop
    iifname "machine" oifname "wan" drop
  }}
  chain translate {{
    type nat hook postrouting priority srcnat;
    ip saddr {PODS} oifname "wan" masquerade
  }}
}}
"""


def lacking() -> str:
    """Return why Service rules would not apply to packets between pods here; empty if they do.

    Loading the module affects all of this machine's bridges, so that is left to its owner.
    """
    if Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        return ""
    return "the kernel module br_netfilter is not loaded; run modprobe br_netfilter"


def attach(record: Record, space: Namespaces, premises: PremisesNamespaces) -> Addresses:
    """Create the cloud's links, to the network outside the premises and to this machine."""
    addresses = Addresses(record.network)
    interface, own = record.side.interface, f"--net=/proc/{space.keeper}/ns/net"
    peer = ["peer", "name", "machine", "netns", str(space.keeper)]
    run(["ip", "link", "add", interface, "type", "veth", *peer])
    run(["ip", "address", "add", f"{addresses.machine_of_cloud}/30", "dev", interface])
    run(["ip", "link", "set", interface, "up"])
    peer = ["peer", "name", _CLOUD, "netns", str(premises.wan_network)]
    run(["nsenter", own, "ip", "link", "add", _OUTWARD, "type", "veth", *peer])
    space.run(["ip", "-batch", "-"], stdin=_node(addresses))
    space.run(["nft", "-f", "-"], stdin=_RULES)
    space.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    premises.run_outside(["ip", "-batch", "-"], stdin=_outside(addresses))
    premises.run_outside(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    premises.run(["ip", "route", "replace", addresses.cloud_network, "via", addresses.outside])
    return addresses


def _node(addresses: Addresses) -> str:
    return f"""
link set lo up
address add {addresses.cloud_inside}/30 dev machine
link set machine up
address add {addresses.cloud}/24 dev {_OUTWARD}
link set {_OUTWARD} up
route add default via {addresses.outside_inward}
"""


def _outside(addresses: Addresses) -> str:
    return f"""
address add {addresses.outside_inward}/24 dev {_CLOUD}
link set {_CLOUD} up
"""
