"""Runs on a host, as root: tries every way out, and says what became of each."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FOUR, SIX = json.loads(sys.argv[1])
METADATA = "169.254.169.254"
QUERY = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + b"\x07example\x03com\x00" + struct.pack(">2H", 1, 1)


def tcp(address: str, port: int) -> None:
    """Connect."""
    socket.create_connection((address, port), timeout=1).close()


def udp(address: str, port: int, payload: bytes = b"x") -> None:
    """Send one datagram; wait for no answer."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.sendto(payload, (address, port))


def ping(address: str) -> None:
    """Send one echo request."""
    subprocess.run(["ping", "-c1", "-W1", address], check=True, capture_output=True)


WAYS: dict[str, Callable[[], None]] = {
    "TCP": lambda: tcp(FOUR, 443),
    "TCP to another port of the mirror": lambda: tcp(FOUR, 8081),
    "UDP": lambda: udp(FOUR, 4500),
    "DNS": lambda: udp(FOUR, 53, QUERY),
    "DNS over TCP": lambda: tcp(FOUR, 53),
    "ICMP": lambda: ping(FOUR),
    "metadata": lambda: tcp(METADATA, 80),
    "TCP over IPv6": lambda: tcp(SIX, 443),
    "UDP over IPv6": lambda: udp(SIX, 53, QUERY),
}


def attempt(way: str) -> str:
    """Try one way."""
    try:
        WAYS[way]()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"failed: {error}"
    return "went through"


with ThreadPoolExecutor(len(WAYS)) as pool:
    print(json.dumps(dict(zip(WAYS, pool.map(attempt, WAYS), strict=True))))
