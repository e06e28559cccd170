"""Thousands of sites that visit a web server, as one process on one core; run as a program, it prints what it measured.

A visit is what a site does when nothing is new: it asks for the next root, reads the timestamp, and reports. Visits
start when they are due, however long the ones before them take.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.catalogue import identities
from scenario_model.exchange.contract import Metrics, Status, encode
from scenario_model.exchange.inbox import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.signing.keys import SigningKey

RELEASE = f"assistant@sha256:{'0' * 64}"


def take_core(choose: Callable[[set[int]], int]) -> None:
    """Run on one core, before others that want it where that is allowed: what they do is not measured."""
    os.sched_setaffinity(0, {choose(os.sched_getaffinity(0))})
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))


def write_sites(number: int, store: Path, folder: Path, key: SigningKey) -> None:
    """Enrol sites, with a certificate each; their keys are one key, because making 10,000 takes long."""
    folder.mkdir()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    issuer, own = identities.authority(key), ec.generate_private_key(ec.SECP256R1())
    pem = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for each in range(number):
        site = f"site-{each:05d}"
        certificate = identities.certificate(identities.request(site, own), site, key, issuer)
        (folder / f"{site}.pem").write_bytes(certificate + pem)
        (store / "sites" / site).mkdir(parents=True)
        (store / "sites" / site / "000002.enrolled.json").write_text('{"ring": "first", "at": 0}')


def reports(number: int) -> bytes:
    """The body of one minute's reports."""
    now = round(time.time(), 1)
    status = Status(at=now, release=RELEASE, state="serving", package="0.1.0", catalogue_version=7)
    metrics = Metrics(at=now, release=RELEASE, seconds=60.0, answered=number % 1000, local=number % 1000)
    return packed([(2 * number + 1, encode(status)), (2 * number + 2, encode(metrics))])


@dataclass
class Load:
    """`kept`: so many connections that stay; 0: each visit makes its own, with the certificate of its site."""

    folder: Path
    authority: Path
    port: int
    sites: int
    kept: int
    times: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    async def run(self, first: int, visits: int, visits_per_second: float) -> None:
        """Visits number `first` and following, at a steady rate."""
        # Made before, because a site makes its own only once.
        contexts = [self._context(each) for each in (range(self.kept) or range(first, first + visits))]
        lines = [await self._connect(context) for context in contexts[: self.kept]]
        free: asyncio.Queue[Any] = asyncio.Queue()
        for line in lines:
            free.put_nowait(line)
        began, tasks = time.perf_counter(), set[asyncio.Task[None]]()
        for number in range(visits):
            await asyncio.sleep(max(0.0, began + number / visits_per_second - time.perf_counter()))
            task = asyncio.create_task(
                self._visit(first + number, free if self.kept else None, contexts[number % len(contexts)])
            )
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    def _context(self, site: int) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.folder / f"site-{site % self.sites:05d}.pem")
        return context

    async def _connect(self, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        began = time.perf_counter()
        line = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        self.times.setdefault("handshake", []).append(time.perf_counter() - began)
        return line

    async def _visit(self, number: int, free: asyncio.Queue[Any] | None, context: ssl.SSLContext) -> None:
        try:
            reader, writer = await (free.get() if free else self._connect(context))
            await self._ask(reader, writer, "root", "GET /catalogue/metadata/99.root.json", b"", 404)
            await self._ask(reader, writer, "timestamp", "GET /catalogue/metadata/timestamp.json", b"", 200)
            await self._ask(reader, writer, "reports", "POST /v1/reports", reports(number), 200)
            if free:
                free.put_nowait((reader, writer))
            else:
                writer.close()
        except Exception as error:  # noqa: BLE001  (counted, and told)
            self.errors.append(f"{number} {type(error).__name__}: {error}"[:100])
            if free:
                free.put_nowait(await self._connect(context))

    async def _ask(self, reader: Any, writer: Any, what: str, asked: str, body: bytes, expected: int) -> None:
        began = time.perf_counter()
        writer.write(f"{asked} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.partition(":")[2]))
        self.times.setdefault(what, []).append(time.perf_counter() - began)
        if int(head.split()[1]) != expected:
            raise ValueError(f"{what} was answered {head.split()[1]}")

    def told(self) -> dict[str, Any]:
        """Milliseconds at the median, the 99th percentile and at most, by kind of request."""
        found: dict[str, Any] = {"errors": self.errors[:5], "failed": len(self.errors)}
        for what, times in self.times.items():
            ordered = sorted(times)
            found[what] = {
                "number": len(ordered),
                "p50": round(ordered[len(ordered) // 2] * 1000, 2),
                "p99": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
                "max": round(ordered[-1] * 1000, 2),
            }
        return found


def main() -> None:
    """`load.py FOLDER CA PORT SITES KEPT FIRST VISITS VISITS_PER_SECOND`."""
    folder, authority, port, sites, kept, first, visits, rate = sys.argv[1:]
    take_core(max)
    load = Load(Path(folder), Path(authority), int(port), int(sites), int(kept))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load.run(int(first), int(visits), float(rate)))
    print(json.dumps(load.told()))


if __name__ == "__main__":
    main()
