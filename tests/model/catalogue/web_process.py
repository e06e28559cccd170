"""The catalogue's web server in a process of its own, over TLS on loopback, and sites that speak to it."""

from __future__ import annotations

import multiprocessing
import socket
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scenario_model.catalogue import identities
from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.catalogue.serve_command import opened_store
from scenario_model.catalogue.web import CatalogueWeb, SiteAuthority, WebLimits
from scenario_model.catalogue.web_server import WebTls, serve
from scenario_model.release.stores import open_store
from scenario_model.serve import credentials
from scenario_model.signing.keys import create_pair, load_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.model.catalogue.world import World


def run(folder: Path, store: str, sock: socket.socket) -> None:
    """The server's process."""
    key = load_private(folder / "sites.key")
    pem = identities.authority(key)
    opened, files, seconds = opened_store(store)
    web = CatalogueWeb(
        opened, files, SiteAuthority(key, pem), WebLimits(requests_at_once=300, look_up_seconds=seconds)
    )
    serve(web, sock, WebTls(folder / "tls/server.pem", folder / "tls/server.key", [pem]))


class Web:
    """The server, and sites that speak to it."""

    def __init__(self, world: World, url: str, store: str) -> None:
        self.world, self.url, self.folder = world, url, world.folder / "web"
        self.store = open_store(store)
        self.enrolments = Enrolments(self.store)

    def client(self, site: str = "") -> httpx.Client:
        context = ssl.create_default_context(cafile=self.folder / "tls" / "ca.pem")
        if site:
            context.load_cert_chain(self.folder / f"{site}.pem", self.folder / f"{site}.key")
        return httpx.Client(base_url=self.url, verify=context, timeout=30)

    def key(self, site: str) -> ec.EllipticCurvePrivateKey:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / f"{site}.key").write_bytes(pem)
        return key

    def enrol(self, site: str, secret: str, *, asked_for: str = "") -> httpx.Response:
        asked = identities.request(asked_for or site, self.key(site)).decode()
        with self.client() as client:
            answer = client.post("/v1/enrol", json={"site": site, "secret": secret, "request": asked})
        if answer.is_success:
            (self.folder / f"{site}.pem").write_text(answer.json()["certificate"])
        return answer

    def site(self, name: str) -> httpx.Client:
        """An enrolled site."""
        assert self.enrol(name, self.enrolments.invite(name, "first", time.time() + 60)).status_code == 200
        return self.client(name)


@contextmanager
def serving(world: World, store: str) -> Iterator[Web]:
    """One server; another one over the same store is its replica."""
    folder = world.folder / "web"
    credentials.ensure(folder / "tls", ["127.0.0.1"])
    create_pair(folder / "sites.key", folder / "sites.pub")
    with socket.create_server(("127.0.0.1", 0)) as sock:
        process = multiprocessing.get_context("spawn").Process(target=run, args=(folder, store, sock))
        process.start()
        made = Web(world, f"https://127.0.0.1:{sock.getsockname()[1]}", store)
        with made.client() as client:
            assert client.get("/healthz").text == "alive\n"
        yield made
        process.terminate()
        process.join(15)
        assert process.exitcode is not None
