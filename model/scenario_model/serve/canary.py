"""A second release beside the one that is served: it answers a share of the conversations, and is judged by that.

A file names it. It is loaded, has its share until it is found to be worse or until the file names nothing, and goes.
Whatever befalls it, the running release answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Literal

from scenario_model.atomic_io import write_json
from scenario_model.canary.judge import Judge, Outcome
from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.serve import logs
from scenario_model.serve.following import followed
from scenario_model.serve.parameters import ChatParameters
from scenario_model.serve.seats import Seat
from scenario_model.serve.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenario_model.canary.judge import Arm
    from scenario_model.serve.parameters import CompletionParameters
    from scenario_model.serve.request_log import Call
    from scenario_model.serve.service import RunningEngine
    from scenario_model.serve.settings import CanaryHere

    Load = Callable[[str], RunningEngine]

State = Literal["none", "loading", "judging", "worse", "failed"]
_LOOKS_SECONDS = 1.0
_DRAIN_SECONDS = 30.0
_KEY_CHARACTERS = 256


class Canary:
    """The canary of one server."""

    def __init__(self, settings: CanaryHere, running: str, load: Load) -> None:
        """`running`: the release that is served. `load`: verifies and loads a release, in a thread."""
        self._settings, self._running, self._load = settings, running, load
        self._seat: Seat | None = None
        self._engine: RunningEngine | None = None
        self.release, self.state = "", "none"
        self._why, self._since = "", 0.0
        self._counts: dict[Arm, int] = {"canary": 0, "running": 0}
        self._judge = Judge(settings.false_alarms)
        self._said: dict[str, Any] = {}

    def seat_for(
        self, wanted: ChatParameters | CompletionParameters, client: str, session: str
    ) -> Seat | None:
        """The canary's seat, if this conversation is one of its share; a conversation stays where it began."""
        seat = self._seat
        if seat is None or wanted.model != seat.service.name:
            return None
        if isinstance(wanted, ChatParameters):
            begins: object = [(each["role"], each["content"]) for each in wanted.messages[:2]]
        else:
            begins = wanted.prompt
        told = f"{client}\n{session or repr(begins)[:_KEY_CHARACTERS]}".encode()
        place = hashlib.blake2b(told, key=self.release[-64:].encode(), digest_size=8).digest()
        return seat if int.from_bytes(place, "big") / 2**64 < self._settings.share else None

    def outcome(self, arm: Arm, outcome: Outcome) -> None:
        """Count a request of either release; the canary loses its share as soon as it is found to be worse."""
        if self._seat is None:
            return
        if outcome.failed is not None:
            self._counts[arm] += 1
        self._judge.add(arm, outcome)
        self._decide()

    def difference(self, bits_per_byte: float) -> None:
        """Count a text that both releases know: by how much more the canary needs for it."""
        if self._seat is None:
            return
        self._judge.difference(bits_per_byte)
        self._decide()

    @property
    def engine(self) -> RunningEngine | None:
        """The canary's, while it is judged."""
        return self._engine if self._seat else None

    def _decide(self) -> None:
        if worse := self._judge.worse:
            self._seat = None
            self._settle("worse", ", ".join(worse))

    def ended(self, arm: Arm, call: Call, status: int) -> None:
        """Count a request that has ended. Those at the client's fault, or that it left, say nothing."""
        if 400 <= status < 500:
            return
        first, last, tokens = call.first_token, call.last_token, call.completion_tokens
        pace = (last - first) / (tokens - 1) if first and last and tokens > 1 else None
        failed = status >= 500 or call.finish_reason == "error"
        self.outcome(arm, Outcome(failed=failed, latency=first and first - call.began, pace=pace))

    async def watch(self) -> None:
        """Do what the file says, for ever."""
        while True:
            try:
                told = self._told()
                if told != self.release:
                    await self._leave()
                    await self._take(told)
                elif self._seat is None and self._engine:
                    await self._leave()
                self._tell()
            except Exception as error:  # noqa: BLE001 the running release answers, whatever befalls the canary
                logs.info("the canary cannot be led", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_LOOKS_SECONDS)

    async def close(self) -> None:
        """End it."""
        self._seat = None
        if self._engine:
            self._engine.stop()

    def _told(self) -> str:
        try:
            told = followed(self._settings.file)
        except InputError:
            return ""
        # As soon as it is the running one, it is no canary any more.
        return "" if told == self._running else told

    async def _take(self, release: str) -> None:
        self.release, self._since, self._why = release, time.time(), ""
        self._counts, self._judge = {"canary": 0, "running": 0}, Judge(self._settings.false_alarms)
        self.state = "loading" if release else "none"
        if not release or self._was_judged():
            return
        self._tell()
        try:
            engine = await asyncio.get_running_loop().run_in_executor(None, self._load, release)
        except Exception as error:  # noqa: BLE001 a library may raise anything for weights that it does not like
            self._settle("failed", str(error) or type(error).__name__)
            return
        service = Service(release.partition("@")[0], release)
        engine.start()
        self._engine = engine
        try:
            await service.attach(engine)
        except (ScenarioModelError, RuntimeError) as error:
            self._settle("failed", str(error))
            return
        logs.info("a canary answers its share", canary=release, share=self._settings.share)
        self.state, self._seat = "judging", Seat(service, "canary")

    def _was_judged(self) -> bool:
        """Go on from what an earlier process found; True if that was final."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._status.read_text(encoding="utf-8"))
            if (kept["release"], kept["beside"]) == (self.release, self._running):
                self._judge.resume(int(kept["compared"]), kept["evidence"])
                self._counts = {"canary": int(kept["canary"]), "running": int(kept["running"])}
                self._since = float(kept["since"])
                if kept["state"] in ("worse", "failed"):
                    self.state, self._why = kept["state"], str(kept["why"])
                    return True
        return False

    async def _leave(self) -> None:
        self._seat = None
        if self._engine:
            engine, self._engine = self._engine, None
            await engine.drain(_DRAIN_SECONDS)
            engine.stop()

    def _settle(self, state: State, why: str) -> None:
        self.state, self._why = state, why
        logs.info("the canary is stopped", canary=self.release, state=state, reason=why)

    @property
    def _status(self) -> Path:
        return self._settings.state / "canary.json"

    def _tell(self) -> None:
        """Write how it is, for whoever named it."""
        told: dict[str, Any] = {
            "release": self.release,
            "beside": self._running,
            "state": self.state,
            "why": self._why,
            "since": self._since,
            "canary": self._counts["canary"],
            "running": self._counts["running"],
            "compared": self._judge.compared,
            "worse": self._judge.worse,
            "evidence": {name: list(fortune.logs) for name, fortune in self._judge.fortunes.items()},
        }
        if told != self._said:
            self._settings.state.mkdir(parents=True, exist_ok=True)
            write_json(self._status, told)
            self._said = told
