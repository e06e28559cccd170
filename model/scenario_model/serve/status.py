"""`GET /status`: the status page, for a browser that has a key: any user name, with the key as the password."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse

from scenario_model.drift.promise import promise
from scenario_model.errors import ScenarioModelError
from scenario_model.release import channel
from scenario_model.release.lifecycle_journal import Journal
from scenario_model.release.stores import open_store
from scenario_model.signing.keys import load_public
from scenario_model.status.page import Facts, page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from scenario_model.observe.observer import Observer
    from scenario_model.release.lifecycle_journal import Entry
    from scenario_model.serve.settings import ServeSettings

PATH = "/status"
_EVENTS = 30
_CURVE = 4  # step, loss, learning rate, tokens per second
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


class StatusPage:
    """Makes the page from what is on the disk, so that it shows what was before a restart."""

    def __init__(self, settings: ServeSettings, release: str, observer: Observer) -> None:
        self._settings, self._release, self._observer = settings, release, observer

    async def __call__(self, request: Request) -> Response:
        """Answer with the page; with `?live` it renews itself."""
        facts = await asyncio.to_thread(self._facts)
        return HTMLResponse(page(facts, live="live" in request.query_params), headers=_HEADERS)

    def _facts(self) -> Facts:
        baseline, windows = self._observer.baseline, self._observer.log.read()
        told: Sequence[str] = ()
        if baseline:
            found = promise(baseline, self._observer.windows_per_false_alarm)
            told = found.words(self._observer.window_seconds / 60)
        history, trained = self._history()
        return Facts(
            release=self._release,
            windows=windows,
            history=history,
            canary=self._canary(),
            promise=told,
            curve=_curve(trained),
            gate=trained.why if trained else "",
        )

    def _history(self) -> tuple[list[tuple[str, str, str, str]], Entry | None]:
        """Moves of the channel and events of the lifecycle, as far as they are genuine; and the last training."""
        settings = self._settings
        try:
            key, store = load_public(settings.verification_key), open_store(settings.store)
            moves = channel.history(store, settings.name, settings.channel, key)
            events = Journal(store, settings.name).entries(key)
        except ScenarioModelError as error:
            return [("", "unknown", "", f"the history cannot be read: {error}")], None
        found: list[tuple[str, str, str, str]] = []
        found += [(move.at, move.action, move.release, f"by {move.by}") for move in moves]
        found += [(event.at, event.event, event.release or event.beside, event.why) for event in events]
        trained = [event for event in events if event.evidence.get("curve")]
        return sorted(found, reverse=True)[:_EVENTS], trained[-1] if trained else None

    def _canary(self) -> dict[str, Any]:
        if self._settings.canary is None:
            return {}
        try:
            told: dict[str, Any] = json.loads(
                (self._settings.canary.state / "canary.json").read_text("utf-8")
            )
        except (OSError, ValueError):
            return {}
        return told


def _curve(trained: Entry | None) -> Sequence[Sequence[float]]:
    """The steps of a training that its history has; they are signed, so only their form may be older than ours."""
    told = trained.evidence["curve"] if trained else ()
    return [point for point in told if isinstance(point, list | tuple) and len(point) == _CURVE]


def bearer_of(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A browser's headers, its password as the bearer's key."""
    found = []
    for name, value in headers:
        scheme, _, told = value.partition(b" ")
        if name == b"authorization" and scheme.lower() == b"basic":
            try:
                _, _, key = base64.b64decode(told, validate=True).partition(b":")
            except binascii.Error:
                key = b""
            found.append((name, b"Bearer " + key))
        else:
            found.append((name, value))
    return found
