"""The egress rules of a host as text for nft: what may go out and come in; all else may not.

Nothing goes on because it was there before: the packets of the side that began a connection have to be
allowed each time, and only answers pass as answers. So a connection ends when its permission does.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

TABLE = "scenario_egress"
METADATA = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Where clouds hand out credentials; refused whatever else is allowed."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class PolicyError(Exception):
    """What is wrong with the settings, in one line: where, what, remedy."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """One destination: a network, a protocol, its ports (none of them for ICMP), and why."""

    to: Network
    protocol: str
    ports: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may call this host, and whom it may call; clients may call nothing where `serving_port` is 0."""

    admin_networks: list[Network]
    ssh_port: int = 22
    peers: list[Network] = field(default_factory=list)
    clients: list[Network] = field(default_factory=list)
    serving_port: int = 0
    time_servers: list[Network] = field(default_factory=list)
    allow: list[Allowed] = field(default_factory=list)


def network(text: str, where: str) -> Network:
    """Read an address or a network. Raises PolicyError, also for a network that is everything."""
    try:
        read = ipaddress.ip_network(text)
    except ValueError as error:
        raise PolicyError(f"{where}: {error}; write an address or a network, such as 10.2.0.0/16") from None
    if read.prefixlen == 0:
        raise PolicyError(f"{where}: {text} is every address there is; name the networks that are meant")
    return read


def allowed(entry: dict[str, object], where: str) -> Allowed:
    """Read one entry of the allow-list. Raises PolicyError."""
    protocol, why = str(entry["protocol"]), str(entry["why"])
    given = entry.get("ports")
    ports = tuple(int(str(port)) for port in given) if isinstance(given, list) else ()
    if wrong := [port for port in ports if not 0 < port < 65536]:
        raise PolicyError(f"{where}: port {wrong[0]} is none; ports are 1 to 65535")
    if (protocol == "icmp") == bool(ports):
        raise PolicyError(f"{where}: tcp and udp need ports, icmp has none")
    if not re.fullmatch(r"[^\"\\\n]{1,100}", why):
        raise PolicyError(f"{where}: why is to be one line of 1 to 100 characters, without quotes")
    return Allowed(network(str(entry["to"]), where), protocol, ports, why)


def refusal_of(policy: Policy, connection: str) -> str | None:
    """Say why these rules would cut an SSH connection, given as SSH_CONNECTION; None if they would not."""
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
    """Write the table: `nft -f` replaces the former one with it in one transaction, and no other table."""
    named = [*policy.admin_networks, *policy.peers, *policy.clients, *policy.time_servers]
    six = any(each.version == 6 for each in [*named, *(entry.to for entry in policy.allow)])
    neighbours = "nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert"
    both = [
        "ct direction reply ct state established accept",
        "ct state related meta l4proto { icmp, icmpv6 } accept",
    ]
    if six:  # without its neighbours no address of version 6 can be reached
        both += [f"icmpv6 type {{ {neighbours} }} ip6 hoplimit 255 accept"]
    chains = {"input": [*both, *_inward(policy)], "output": [*both, *_outward(policy)], "forward": []}
    chains["input"].insert(0, 'iifname "lo" accept')
    refused = [f"{_to(network(each, 'metadata'))} counter drop" for each in METADATA]
    chains["output"][:0] = ['oifname "lo" accept', *refused]
    # Refused rather than dropped: a program of this host learns at once that it may not. No packet leaves.
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
    # The connection that loads these rules is older than they are: the kernel may take its next packet for a
    # new connection of ours. A new one would begin with SYN alone, which is not let out.
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
    """Match any of the networks: one expression for each version of IP that is there."""
    four = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv6Network))
    listed = {"ip": ", ".join(map(str, four)), "ip6": ", ".join(map(str, six))}
    return [f"{family} {field_name} {{ {text} }}" for family, text in listed.items() if text]
