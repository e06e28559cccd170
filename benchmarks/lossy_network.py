"""Two machines with a bad line between them, as network namespaces: a rate, lost packets, and a line that is cut.

    server -- router (rate toward the site, loss both ways) -- site

Everything ends with the process that made it. Segments are not offloaded, so that a packet is one on a line, too.
There is no delay but that of the queue of 50 kB, the length of a slow line's: more would need the kernel's netem.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVER, SITE = "10.9.1.1", "10.9.2.1"
_ROUTER_TO_SERVER, _ROUTER_TO_SITE = "10.9.1.2", "10.9.2.2"
# Ethernet, IP and TCP with timestamps: what a full segment carries besides its content.
_HEADERS = 14 + 20 + 32
_RULES = """
table inet line {
  chain gate { }
  chain forward {
    type filter hook forward priority filter; policy accept;
    jump gate
    %s
  }
}
"""


@dataclass(frozen=True, slots=True)
class Carried:
    """What arrived at the site's interface: packets, their bytes, and how many of those are TCP's content."""

    packets: int
    bytes: int

    @property
    def content(self) -> int:
        """Bytes of TLS, those that were sent twice included."""
        return self.bytes - self.packets * _HEADERS

    def __sub__(self, before: Carried) -> Carried:
        return Carried(self.packets - before.packets, self.bytes - before.bytes)


@dataclass
class Line:
    """`rate_kbit` toward the site; `loss_percent` of the packets in each direction. Needs root."""

    rate_kbit: int
    loss_percent: float
    _holders: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for name in ("server", "router", "site"):
            # `cat` ends when our end of its standard input does: however this process ends.
            held = subprocess.Popen(
                ["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
            self._holders[name] = held
        time.sleep(0.3)
        self._connect("server", SERVER, _ROUTER_TO_SERVER)
        self._connect("site", SITE, _ROUTER_TO_SITE)
        self.run("router", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        rate = ["rate", f"{self.rate_kbit}kbit", "burst", "16kb", "limit", "50kb"]
        self.run("router", "tc", "qdisc", "replace", "dev", "site", "root", "tbf", *rate)
        share = round(self.loss_percent * 100)
        self.run("router", "nft", "-f", "-", stdin=_RULES % f"numgen random mod 10000 < {share} drop")
        return self

    def __exit__(self, *_: object) -> None:
        for held in self._holders.values():
            if held.stdin:
                held.stdin.close()
            held.wait()

    def enter(self, name: str) -> list[str]:
        """What a command begins with to run at one end."""
        return ["nsenter", f"--net=/proc/{self._holders[name].pid}/ns/net", "--"]

    def run(self, name: str, *command: str, stdin: str = "") -> str:
        """Run a short command at one end; return its output."""
        whole: Sequence[str] = [*self.enter(name), *command]
        return subprocess.run(whole, input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout

    def carried(self) -> Carried:
        """What arrived at the site since the line exists."""
        (link,) = json.loads(self.run("site", "ip", "-s", "-j", "link", "show", "dev", "site"))
        received = link["stats64"]["rx"]
        return Carried(received["packets"], received["bytes"])

    def cut(self, seconds: float) -> None:
        """Nothing passes for some seconds, and what was connected is not any more: the site dials in anew."""
        self._gate("add rule inet line gate drop")
        time.sleep(seconds)
        subprocess.run(
            [*self.enter("site"), "ss", "--kill", "state", "established", "dst", SERVER],
            capture_output=True,
            check=False,
        )
        self._gate("")

    def _gate(self, rule: str) -> None:
        self.run("router", "nft", "-f", "-", stdin=f"flush chain inet line gate\n{rule}\n")

    def _connect(self, name: str, address: str, router: str) -> None:
        peer = str(self._holders["router"].pid)
        self.run(name, "ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", peer)
        for end, own in ((name, address), ("router", router)):
            self.run(end, "ip", "link", "set", name, "gso_max_segs", "1", "gro_max_size", "1514")
            self.run(end, "ip", "address", "add", f"{own}/24", "dev", name)
            self.run(end, "ip", "link", "set", name, "up")
            self.run(end, "ip", "link", "set", "lo", "up")
        self.run(name, "ip", "route", "add", "default", "via", router)
