"""The catalogue's web server: static files for sites that it knows by their certificates, and their reports.

`/catalogue` and `/releases` are objects of the store, with Range. A site joins at `/v1/enrol` with its token, renews
its certificate at `/v1/certificate`, reports at `/v1/reports`, and has the hosted endpoint
started at `/v1/wake`. It keeps nothing of its own: any number of replicas may serve one bucket.

Sites show their certificates in the TLS handshake, so TLS must end here: what is in front of it balances TCP.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from scenario_model.catalogue import identities
from scenario_model.catalogue.enrolment import FOLDER as SITES
from scenario_model.catalogue.enrolment import Enrolments, states
from scenario_model.catalogue.files import Files, Kept, Opened
from scenario_model.catalogue.gathering import Gathering
from scenario_model.catalogue.limits import Downloads, Rate, TooMuch
from scenario_model.catalogue.roster import Roster
from scenario_model.catalogue.sending import InPieces, wanted
from scenario_model.catalogue.shelf import METADATA
from scenario_model.catalogue.web_bodies import body, fields
from scenario_model.catalogue.web_errors import HANDLERS, RETRY_SECONDS
from scenario_model.catalogue.web_metrics import WebMetrics
from scenario_model.errors import Refused, ScenarioModelError
from scenario_model.exchange import crossings
from scenario_model.exchange.audit_objects import AuditObjects
from scenario_model.exchange.contract import BATCH_BYTES, REQUESTS, Crossing
from scenario_model.exchange.inbox import Inbox, checked
from scenario_model.release.store import is_key
from scenario_model.serve import logs

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from scenario_model.catalogue.wishes import Wishes
    from scenario_model.release.store import Store

PEER = "scenario_model.peer"
"""The extension of the ASGI scope that has the client's verified certificate, DER; missing without one."""
_STORE_THREADS = 8
_AUDIT_SECONDS = 5.0
_TIMESTAMP = f"{METADATA}/timestamp.json"


@dataclass(frozen=True, slots=True)
class SiteAuthority:
    """The key that signs sites' certificates, and its certificate, PEM."""

    key: ec.EllipticCurvePrivateKey
    certificate: bytes


@dataclass(frozen=True, slots=True)
class WebLimits:
    """What one replica does at most. `look_up_seconds`: see `Roster`."""

    requests_per_second: float = 20.0
    requests_at_once: float = 200.0
    downloads: int = 64
    downloads_of_a_site: int = 4
    look_up_seconds: float = 5.0


class CatalogueWeb:
    """The ASGI application over one store."""

    def __init__(
        self,
        store: Store,
        files: Files,
        authority: SiteAuthority,
        limits: WebLimits,
        wishes: Wishes | None = None,
    ) -> None:
        """`wishes`: for the hosted endpoint; None: nobody may have it started."""
        self._authority, self._enrolments, self._wishes = authority, Enrolments(store), wishes
        self._pool = ThreadPoolExecutor(_STORE_THREADS, "store")
        self._senders = ThreadPoolExecutor(limits.downloads, "download")
        self._files, self._kept = files, Kept(files, self._pool)
        self._gathering, self._audit = Gathering(Inbox(store), self._pool), AuditObjects(store)
        self._roster = Roster(
            self._enrolments, lambda: states(files.keys(SITES)), limits.look_up_seconds, self._pool
        )
        self._rate = Rate(limits.requests_per_second, limits.requests_at_once)
        self._downloads = Downloads(limits.downloads, limits.downloads_of_a_site)
        self.metrics = WebMetrics()
        self.app: ASGIApp = self.metrics.counted(
            Starlette(
                routes=[
                    Route("/catalogue/{path:path}", partial(self._file, "catalogue")),
                    Route("/releases/{path:path}", partial(self._file, "releases")),
                    Route("/healthz", healthz),
                    Route("/readyz", self.readyz),
                    Route("/v1/enrol", self._enrol, methods=["POST"]),
                    Route("/v1/certificate", self._renew, methods=["POST"]),
                    Route("/v1/reports", self._report, methods=["POST"]),
                    Route("/v1/wake", self._wake, methods=["POST"]),
                ],
                exception_handlers=HANDLERS,
            )
        )

    async def readyz(self, request: Request) -> Response:  # noqa: ARG002
        """Whether the store answers, and how long the newest timestamp is good."""
        try:
            opened = await self._kept.open(_TIMESTAMP)
        except ScenarioModelError as error:
            return PlainTextResponse(f"{error.what}\n", 503)
        left = (_expires(opened) - time.time()) / 3600
        said = f"its timestamp is good for {left:.1f} h" if left > 0 else "its timestamp has expired"
        return PlainTextResponse(f"ready; {said}\n" if opened else "ready; there is no catalogue yet\n")

    async def measured(self) -> bytes:
        """All metrics. Raises what the store raises."""
        self.metrics.sites.set(await self._roster.number())
        self.metrics.expires.set(_expires(await self._kept.open(_TIMESTAMP)))
        self.metrics.downloads.set(self._downloads.running)
        self.metrics.wanted.set(bool(self._wishes and self._wishes.open))
        return self.metrics.text()

    async def keep_audit(self) -> None:
        """Write the audit log every few seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(_AUDIT_SECONDS)
            await self.write_audit()

    async def write_audit(self) -> None:
        """Write what waits of the audit log; if the store does not take it, it waits on."""
        loop = asyncio.get_running_loop()
        try:
            written = await loop.run_in_executor(self._pool, self._audit.write, time.time())
        except ScenarioModelError as error:
            logs.info("audit log not written", reason=error.what)
        else:
            self.metrics.audited.inc(written)

    async def _file(self, folder: str, request: Request) -> Response:
        """A file of the catalogue or of a release, for a site."""
        site = await self._site(request)
        path = f"{folder}/{request.path_params['path']}"
        opened = await self._kept.open(path) if is_key(path) else None
        if opened is None:
            return JSONResponse({"error": "not found"}, 404)
        size, etag = opened.version.size, opened.version.etag
        asked = wanted(request.headers, size, etag)
        if asked is None:
            return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
        fresh = path == _TIMESTAMP
        headers = {
            "cache-control": "no-cache" if fresh else "public, max-age=31536000, immutable",
            "accept-ranges": "bytes",
            "etag": etag,
            "content-length": str(asked[1] - asked[0]),
        }
        status = 200
        if asked != (0, size):
            status, headers["content-range"] = 206, f"bytes {asked[0]}-{asked[1] - 1}/{size}"
        return self._answer(site, path, opened, asked, status, headers)

    def _answer(
        self,
        site: str,
        path: str,
        opened: Opened,
        asked: tuple[int, int],
        status: int,
        headers: dict[str, str],
    ) -> Response:
        if opened.content is not None:
            content = opened.content[slice(*asked)]
            whole = len(content) == len(opened.content)
            digest = opened.sha256 if whole else hashlib.sha256(content).hexdigest()
            self._note(crossings.of_file(time.time(), site, path, len(content), digest))
            return Response(content, status, headers, "application/octet-stream")
        place = self._downloads.one(site)
        place.__enter__()
        sent, began = crossings.Hashed(self._files.pieces(path, opened.version, *asked)), time.time()

        def ended() -> None:
            place.__exit__(None, None, None)
            if sent.bytes:
                self._note(crossings.of_file(began, site, path, sent.bytes, sent.sha256))
            whole = sent.bytes == asked[1] - asked[0]
            seconds = round(time.time() - began, 1)
            logs.info("download", site=site, path=path, bytes=sent.bytes, whole=whole, seconds=seconds)

        return InPieces(iter(sent), self._senders, ended, status, headers)

    async def _enrol(self, request: Request) -> Response:
        self._rate.spend(_address(request))
        asked = await fields(request, "site", "secret", "request")
        # Signed before the token is used up: a request that is not one does not cost it.
        pem = self._signed(asked["request"], asked["site"])
        key = identities.key_digest(asked["request"].encode())
        enrol = partial(self._enrolments.enrol, asked["site"], asked["secret"], time.time(), key)
        ring = await asyncio.get_running_loop().run_in_executor(self._pool, enrol)
        self._roster.forget(asked["site"])
        self._certified(asked["site"], asked["request"], pem)
        logs.info("enrolled", site=asked["site"], ring=ring)
        return JSONResponse({"certificate": pem, "ring": ring})

    async def _renew(self, request: Request) -> Response:
        site = await self._site(request)
        asked = await fields(request, "request")
        pem = self._signed(asked["request"], site)
        self._certified(site, asked["request"], pem)
        logs.info("certificate renewed", site=site)
        return JSONResponse({"certificate": pem})

    async def _report(self, request: Request) -> Response:
        site = await self._site(request)
        content = await body(request, 2 * BATCH_BYTES)
        try:
            reports = checked(site, content)
        except Refused:
            # It crossed, whatever it was.
            digest = hashlib.sha256(content).hexdigest()
            self._note(Crossing(time.time(), "up", "refused", len(content), site, digest))
            raise
        if reports:
            self._note(*crossings.of_reports(time.time(), site, reports))
            await self._gathering.keep(site, reports)
            self.metrics.took(reports)
        return JSONResponse({"accepted": reports[-1][0] if reports else 0})

    async def _wake(self, request: Request) -> Response:
        """A wish for the hosted endpoint, by whoever has its key."""
        self._rate.spend(_address(request))
        if self._wishes is None:
            return JSONResponse({"error": "the endpoint does not sleep"}, 404)
        client = self._wishes.wish(request.headers.raw)
        self._note(Crossing(time.time(), REQUESTS["wake"], "wake", 0, client, hashlib.sha256().hexdigest()))
        return Response(status_code=202)

    def _certified(self, site: str, asked: str, pem: str) -> None:
        now = time.time()
        self._note(
            crossings.of_certificate(now, site, "up", asked),
            crossings.of_certificate(now, site, "down", pem),
        )

    def _note(self, *crossed: Crossing) -> None:
        self.metrics.sent.inc(sum(each.bytes for each in crossed if each.direction == "down"))
        self._audit.record(*crossed)

    def _signed(self, asked: str, site: str) -> str:
        pem = identities.certificate(asked.encode(), site, self._authority.key, self._authority.certificate)
        return pem.decode()

    async def _site(self, request: Request) -> str:
        """The site that asks. Raises Refused if it has no certificate of ours, or was revoked."""
        peer = request.scope.get("extensions", {}).get(PEER)
        if peer is None:
            raise Refused("a site's certificate is required")
        site = _site_of(peer)
        self._rate.spend(site)
        if self._audit.full:
            raise TooMuch("the audit log cannot be kept", RETRY_SECONDS, busy=True)
        if not await self._roster.lets_in(site):
            raise Refused(f"{site} is not enrolled, or was revoked")
        return site


async def healthz(request: Request) -> Response:  # noqa: ARG001
    """Whether the process answers."""
    return PlainTextResponse("alive\n")


def _address(request: Request) -> str:
    return f"@{request.client.host if request.client else ''}"


# A connection's certificate is the same for all of its requests.
_site_of = lru_cache(maxsize=16_384)(identities.site_of)


def _expires(opened: Opened | None) -> float:
    """When the timestamp expires, in seconds since 1970; 0 if there is none, or if it says nothing."""
    try:
        said: Any = json.loads(opened.content or b"")["signed"]["expires"] if opened else ""
        return datetime.fromisoformat(said).timestamp() if opened else 0.0
    except (ValueError, KeyError, TypeError):
        return 0.0
