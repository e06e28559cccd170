"""Where the cloud is in the network: behind the world outside, and on a link of its own to this machine.

    premises -- router -- wan ||| router -- outside -- cloud ||| wan -- node -- cni0 -- pods
                                                                  |
                                                               machine ||| this machine

From the premises there is one way to it, through their router. The second link is for the person at this
machine, whose kubectl works also while the first one is cut; nothing is passed on from one to the other.
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
"""The node's interface towards the world outside."""
_CLOUD = "cloud"
"""The interface of the world outside towards the cloud."""

# What pods send out of the cluster has the node's address: nobody outside knows a way to theirs.
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
    """Return why packets between pods would not meet the rules of Services here; empty where they would.

    Loading the module changes how all of this machine's bridges work: that is left to its owner.
    """
    if Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        return ""
    return "the kernel's br_netfilter is not loaded; modprobe br_netfilter"


def attach(record: Record, space: Namespaces, premises: PremisesNamespaces) -> Addresses:
    """Make the cloud's links, to the world outside the premises and to this machine."""
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
