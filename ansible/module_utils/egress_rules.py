"""The egress rules of a host as text for nft: allowed traffic in both directions; everything else is blocked.

Established connections get no exemption: packets of the initiating side must match a rule each time, and
connection tracking admits only replies. So a connection ends when its permission is removed.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

TABLE = "scenario_egress"
METADATA = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Credential endpoints of clouds; blocked whatever else is allowed."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PolicyError(Exception):
    """Invalid settings; the message is one line: where, what, remedy."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One destination: a network, a protocol, its ports (none for ICMP), and the reason."""

    to: Network
    protocol: str
    ports: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Allowed inbound and outbound traffic of this host; `serving_port` 0 admits no clients."""

    admin_networks: list[Network]
    ssh_port: int = 22
    peers: list[Network] = field(default_factory=list)
    clients: list[Network] = field(default_factory=list)
    serving_port: int = 0
    time_servers: list[Network] = field(default_factory=list)
    allow: list[Allowed] = field(default_factory=list)


def network(text: str, where: str) -> Network:
    """Parse an address or a network. Raises PolicyError, also for a network that covers every address."""
    try:
        read = ipaddress.ip_network(text)
    except ValueError as error:
        raise PolicyError(f"{where}: {error}; write an address or a network, such as 10.2.0.0/16") from None
    if read.prefixlen == 0:
        raise PolicyError(f"{where}: {text} covers every address; name specific networks")
    return read


def allowed(entry: dict[str, object], where: str) -> Allowed:
    """Parse one entry of the allow-list. Raises PolicyError."""
    protocol, why = str(entry["protocol"]), str(entry["why"])
    given = entry.get("ports")
    ports = tuple(int(str(port)) for port in given) if isinstance(given, list) else ()
    if wrong := [port for port in ports if not 0 < port < 65536]:
        raise PolicyError(f"{where}: invalid port {wrong[0]}; ports are 1 to 65535")
    if (protocol == "icmp") == bool(ports):
        raise PolicyError(f"{where}: tcp and udp need ports, icmp has none")
    if not re.fullmatch(r"[^\"\\\n]{1,100}", why):
        raise PolicyError(f"{where}: why must be one line of 1 to 100 characters, without quotes")
    return Allowed(network(str(entry["to"]), where), protocol, ports, why)


def refusal_of(policy: Policy, connection: str) -> str | None:
    """Return why these rules would cut an SSH connection, given as SSH_CONNECTION; None if they would not."""
    fields = connection.split()
    if len(fields) != 4:
        return None  # not an SSH connection: nothing to cut
    caller, port = ipaddress.ip_address(fields[0].partition("%")[0]), int(fields[3])
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped:
        caller = caller.ipv4_mapped
    if any(caller in each for each in policy.peers):
        return None
    if not any(caller in each for each in policy.admin_networks):
        named = ", ".join(map(str, policy.admin_networks)) or "empty"
        return (
            f"these rules would cut the SSH connection of this very run: it comes from {caller}, and "
            f"egress_admin_networks is {named}; add {caller} there"
        )
    if port != policy.ssh_port:
        return (
            f"these rules would cut the SSH connection of this very run: it uses port {port}, and "
            f"egress_ssh_port is {policy.ssh_port}; set it to {port}"
        )
    return None


def rules(policy: Policy) -> str:
    """Render the table: `nft -f` replaces the previous one in one transaction, and touches no other table."""
    named = [*policy.admin_networks, *policy.peers, *policy.clients, *policy.time_servers]
    six = any(each.version == 6 for each in [*named, *(entry.to for entry in policy.allow)])
    neighbours = "nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert"
    both = [
        "ct direction reply ct state established accept",
        "ct state related meta l4proto { icmp, icmpv6 } accept",
    ]
    if six:  # without neighbour discovery no IPv6 address can be reached
        both += [f"icmpv6 type {{ {neighbours} }} ip6 hoplimit 255 accept"]
    chains = {"input": [*both, *_inward(policy)], "output": [*both, *_outward(policy)], "forward": []}
    chains["input"].insert(0, 'iifname "lo" accept')
    refused = [f"{_to(network(each, 'metadata'))} counter drop" for each in METADATA]
    chains["output"][:0] = ['oifname "lo" accept', *refused]
    # Rejected rather than dropped, so that programs on this host fail at once. No packet leaves.
    chains["output"].append("counter reject with icmpx type admin-prohibited")
    text = "".join(_chain(name, lines) for name, lines in chains.items())
    return f"add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{text}}}\n"


def _chain(name: str, lines: list[str]) -> str:
    head = f"    type filter hook {name} priority filter; policy drop;\n"
    return f"  chain {name} {{\n{head}" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _inward(policy: Policy) -> list[str]:
    lines = [
        f"{match} tcp dport {policy.ssh_port} accept" for match in _groups("saddr", policy.admin_networks)
    ]
    lines += [f"{match} accept" for match in _groups("saddr", policy.peers)]
    if not policy.serving_port:
        return lines
    return lines + [
        f"{match} tcp dport {policy.serving_port} accept" for match in _groups("saddr", policy.clients)
    ]


def _outward(policy: Policy) -> list[str]:
    # The connection that loads these rules predates them: the kernel may treat its next packet as a new
    # outbound connection. A truly new one would start with a bare SYN, which is not allowed out.
    running = f"tcp sport {policy.ssh_port} tcp flags & (syn | ack) != syn accept"
    lines = [f"{match} {running}" for match in _groups("daddr", policy.admin_networks)]
    lines += [f"{match} accept" for match in _groups("daddr", policy.peers)]
    lines += [f"{match} udp dport 123 accept" for match in _groups("daddr", policy.time_servers)]
    for entry in policy.allow:
        icmp = "icmp" if entry.to.version == 4 else "icmpv6"
        ports = ", ".join(map(str, sorted(set(entry.ports))))
        what = (
            f"{icmp} type echo-request"
            if entry.protocol == "icmp"
            else f"{entry.protocol} dport {{ {ports} }}"
        )
        lines.append(f'{_to(entry.to)} {what} accept comment "{entry.why}"')
    return lines


def _to(where: Network) -> str:
    return f"{'ip' if where.version == 4 else 'ip6'} daddr {where}"


def _groups(field_name: str, networks: list[Network]) -> list[str]:
    """Match any of the networks: one expression per IP version present."""
    four = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv6Network))
    listed = {"ip": ", ".join(map(str, four)), "ip6": ", ".join(map(str, six))}
    return [f"{family} {field_name} {{ {text} }}" for family, text in listed.items() if text]
