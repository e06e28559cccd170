"""The link between the premises and the outside network: cut, restored, slowed, and counted by host."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import LabError
from lab.premises.addresses import Addresses
from lab.premises.namespaces import WAN
from lab.premises.network import INWARD, OUTWARD
from lab.premises.record import load

if TYPE_CHECKING:
    from lab.premises.namespaces import PremisesNamespaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """One host's traffic with the outside network: IP packets and their bytes."""

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    refused: int = 0
    """Outgoing packets that the router dropped, because the link is cut or lossy."""

    def __sub__(self, before: Traffic) -> Traffic:
        return Traffic(
            sent=self.sent - before.sent,
            sent_bytes=self.sent_bytes - before.sent_bytes,
            received=self.received - before.received,
            received_bytes=self.received_bytes - before.received_bytes,
            refused=self.refused - before.refused,
        )


@dataclass(frozen=True, slots=True)
class Wan:
    """The link of running premises. Each call sets its whole state: `slow` restores a cut link."""

    space: PremisesNamespaces

    def cut(self) -> None:
        """Drop everything in both directions, like a broken line: without ICMP errors."""
        self._gate('iifname "premises" update @refused { ip saddr counter } drop', 'iifname "wan" drop')

    def restore(self) -> None:
        """Pass everything, at full speed."""
        self._unshape()
        self._gate()

    def slow(self, *, delay_ms: float = 0, rate_kbit: float = 0, loss_percent: float = 0) -> None:
        """Slow the link down; omitted parameters are reset.

        Each applies to each direction: `delay_ms` is added (so twice that to a round trip), `rate_kbit` is
        kilobits per second, `loss_percent` of the packets are dropped. Raises LabError if the kernel cannot
        delay packets (no netem).
        """
        if min(delay_ms, rate_kbit, loss_percent) < 0 or loss_percent > 100:
            raise LabError("delay and rate must be at least 0, loss between 0 and 100 percent")
        self._unshape()
        if delay_ms:
            rate = ["rate", f"{rate_kbit:g}kbit"] if rate_kbit else []
            self._shape(["netem", "delay", f"{delay_ms:g}ms", *rate])
        elif rate_kbit:
            self._shape(["tbf", "rate", f"{rate_kbit:g}kbit", "burst", "16kb", "latency", "400ms"])
        share = round(loss_percent * 100)
        lost = f"numgen random mod 10000 < {share}" if share < 10000 else ""
        refuse = f'iifname "premises" {lost} update @refused {{ ip saddr counter }} drop'
        self._gate(*([refuse, f'iifname "wan" {lost} drop'] if share else []))

    def capture(self) -> dict[str, Traffic]:
        """Return each host's traffic since the router started; subtract two captures for an interval."""
        record = load(self.space.folder)
        if record is None:
            raise LabError("the lab is not up", remedy="make lab")
        sent, received, refused = (self._counters(name) for name in ("sent", "received", "refused"))
        traffic = {}
        for name in record.hosts:
            address = Addresses(record.network).host(name)
            out, back = sent.get(address, (0, 0)), received.get(address, (0, 0))
            lost = refused.get(address, (0, 0))[0]
            traffic[name] = Traffic(
                sent=out[0], sent_bytes=out[1], received=back[0], received_bytes=back[1], refused=lost
            )
        return traffic

    def _counters(self, name: str) -> dict[str, tuple[int, int]]:
        told = json.loads(self.space.run(["nft", "--json", "list", "set", "inet", "lab", name]))
        (entry,) = (each["set"] for each in told["nftables"] if "set" in each)
        elements = [each["elem"] for each in entry.get("elem", [])]
        return {each["val"]: (each["counter"]["packets"], each["counter"]["bytes"]) for each in elements}

    def _gate(self, *rules: str) -> None:
        """Replace the gate's rules, in one transaction."""
        lines = ["flush chain inet lab gate", *(f"add rule inet lab gate {rule}" for rule in rules)]
        self.space.run(["nft", "-f", "-"], stdin="\n".join(lines) + "\n")

    def _shape(self, discipline: list[str]) -> None:
        try:
            for where, interface in _ENDS:
                self.space.run([*where, "tc", "qdisc", "replace", "dev", interface, "root", *discipline])
        except LabError as error:
            self._unshape()
            if discipline[0] == "netem" and "kind is unknown" in str(error):
                remedy = "load the module sch_netem, or use only rate and loss"
                raise LabError("this kernel cannot delay packets: it has no netem", remedy=remedy) from None
            raise

    def _unshape(self) -> None:
        for where, interface in _ENDS:
            shown = self.space.run([*where, "tc", "-json", "qdisc", "show", "dev", interface, "root"])
            if any(each["kind"] in {"netem", "tbf"} for each in json.loads(shown or "[]")):
                self.space.run([*where, "tc", "qdisc", "delete", "dev", interface, "root"])


# Each end shapes what it sends: the router outward, the outside network inward.
_ENDS: tuple[tuple[list[str], str], ...] = (([], OUTWARD), (["ip", "netns", "exec", WAN], INWARD))
