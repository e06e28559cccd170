"""The networks of the lab, inside its namespaces: a bridge for the hosts, a router, and an outside network.

    hosts -- premises (bridge) -- router -- wan ||| router -- outside
                                    |
                                 machine ||| this machine

This machine itself gets one interface with one route, to the hosts; its rules and settings stay unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootstrap.cache import exclusive
from lab import lab_cache
from lab.commands import run
from lab.premises.addresses import Addresses, free_network
from lab.premises.namespaces import WAN

if TYPE_CHECKING:
    from lab.premises.namespaces import PremisesNamespaces
    from lab.record import Record

BRIDGE = "premises"
OUTWARD = "wan"
"""The router's interface to the outside network."""
INWARD = "router"
"""The outside network's interface to the router."""

# Hosts may connect out, nobody may connect in, and this machine may connect to the hosts, as on any
# customer's premises. Traffic is counted by host; `gate` is empty until the link is cut or loses packets.
_RULES = """
table inet lab {
  set sent { type ipv4_addr; flags dynamic; size 1024; }
  set received { type ipv4_addr; flags dynamic; size 1024; }
  set refused { type ipv4_addr; flags dynamic; size 1024; }
  chain gate { }
  chain outward { jump gate; update @sent { ip saddr counter }; accept; }
  chain inward { jump gate; update @received { ip daddr counter }; accept; }
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname "premises" oifname "premises" accept
    iifname "machine" oifname "premises" accept
    iifname "premises" oifname "machine" ct state established,related accept
    iifname "premises" oifname "wan" jump outward
    iifname "wan" oifname "premises" ct state established,related jump inward
  }
  chain translate {
    type nat hook postrouting priority srcnat;
    oifname "wan" masquerade
  }
}
"""


def lay_out(record: Record, space: PremisesNamespaces) -> Addresses:
    """Create the networks and choose their addresses, which are recorded first.

    Raises LabError if no range is free.
    """
    interface = record.side.interface
    # Two labs on one machine must not choose the same range concurrently.
    with exclusive(lab_cache() / "network.lock", "choosing addresses"):
        record.network = free_network()
        record.save()
        addresses = Addresses(record.network)
        peer = ["peer", "name", "machine", "netns", str(space.keeper)]
        run(["ip", "link", "add", interface, "type", "veth", *peer])
        run(["ip", "address", "add", f"{addresses.machine}/30", "dev", interface])
        run(["ip", "link", "set", interface, "up"])
        run(["ip", "route", "add", addresses.premises, "via", addresses.router_inside, "dev", interface])
    space.run(["ip", "netns", "add", WAN])
    space.run(["ip", "-batch", "-"], stdin=_router(addresses))
    space.run_outside(["ip", "-batch", "-"], stdin=_outside(addresses))
    space.run(["nft", "-f", "-"], stdin=_RULES)
    space.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    return addresses


def _router(addresses: Addresses) -> str:
    return f"""
link set lo up
link add {BRIDGE} type bridge
address add {addresses.router}/24 dev {BRIDGE}
link set {BRIDGE} up
address add {addresses.router_inside}/30 dev machine
link set machine up
link add {OUTWARD} type veth peer name {INWARD} netns {WAN}
address add {addresses.router_outside}/24 dev {OUTWARD}
link set {OUTWARD} up
"""


def _outside(addresses: Addresses) -> str:
    return f"""
link set lo up
address add {addresses.outside}/24 dev {INWARD}
link set {INWARD} up
"""
