"""Tries every way out of a host of the lab, and counts at the router what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lab.premises.access import ssh
from lab.premises.network import BRIDGE

if TYPE_CHECKING:
    from lab.premises.host import Host
    from lab.premises.namespaces import PremisesNamespaces

SIX = "2001:db8:9::1"
ATTEMPTS = Path(__file__).with_name("attempts.py").read_text()


def try_all(host: Host) -> dict[str, str]:
    """Try every way out from a host; returns what became of each."""
    targets = json.dumps([host.addresses.outside, SIX])
    command = f"sudo python3 - '{targets}' <<'END'\n{ATTEMPTS}\nEND"
    answer: dict[str, str] = json.loads(ssh(host.folder, host.address, command, timeout_s=60))
    return answer


def watch(host: Host, space: PremisesNamespaces) -> None:
    """Let the router count what the host sends; give the host an IPv6 address, and a way to the router."""
    mac = json.loads(space.run(["ip", "-json", "link", "show", BRIDGE]))[0]["address"]
    told = ssh(host.folder, host.address, "ip -json link show host0", timeout_s=60)
    rules = f"""table netdev probe {{
  counter four {{ }}
  counter six {{ }}
  chain seen {{
    type filter hook ingress device "{BRIDGE}" priority 0;
    ether saddr {json.loads(told)[0]["address"]} jump of_the_host
  }}
  chain of_the_host {{
    ip saddr {host.address} ip daddr != {host.addresses.machine} counter name four
    meta protocol ip6 counter name six
  }}
}}
"""
    space.run(["nft", "-f", "-"], stdin=rules)
    six = (
        "sudo ip -6 address replace 2001:db8:9::101/64 dev host0 nodad && "
        f"sudo ip -6 neigh replace {SIX} lladdr {mac} dev host0"
    )
    ssh(host.folder, host.address, six, timeout_s=60)


def at_the_router(space: PremisesNamespaces) -> dict[str, int]:
    """Packets of the watched host that the router has seen, but for those to this machine; by IP version."""
    told = json.loads(space.run(["nft", "--json", "list", "table", "netdev", "probe"]))
    return {
        each["counter"]["name"]: each["counter"]["packets"] for each in told["nftables"] if "counter" in each
    }
