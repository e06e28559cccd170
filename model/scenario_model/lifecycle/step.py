"""One step of a lifecycle: looks at where it is, does what is next, and writes it down. Killed anywhere, it goes on."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from scenario_model.atomic_io import write_text
from scenario_model.errors import ScenarioModelError, TemporaryError
from scenario_model.lifecycle.policy import next_after
from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import WindowLog
from scenario_model.release import channel
from scenario_model.release.lifecycle_journal import Entry, Event, Journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenario_model.edge.local_server import LocalServer
    from scenario_model.lifecycle.policy import Next
    from scenario_model.lifecycle.settings import LifecycleHere
    from scenario_model.lifecycle.trainer import Trained
    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey

_READY_SECONDS = 600.0


class CanTrain(Protocol):
    """A trainer."""

    def run(self) -> str:
        """The digest of the run that training would be now."""

    def train(self, beside: Path, former: str) -> Trained:
        """Train, evaluate beside a release, and sign."""


@dataclass(frozen=True, slots=True)
class Did:
    """What a step came to: the event that it wrote, or what it waits for."""

    did: str
    why: str
    release: str


@dataclass(frozen=True)
class Step:
    """A lifecycle with all that it needs. `trainer` None: it only asks."""

    settings: LifecycleHere
    store: Store
    key: SigningKey
    server: LocalServer
    trainer: CanTrain | None
    now: Callable[[], float] = time.time

    def run(self) -> Did:
        """Do one step. Raises ScenarioModelError if it cannot be done; nothing is half-done then."""
        running = channel.history(
            self.store, self.settings.name, self.settings.channel, self.key.public_key()
        )
        if not running:
            return Did("wait", "no release was promoted yet", "")
        served = running[-1].release
        entries = self._journal.entries(self.key.public_key())
        following = next_after(entries, self._windows(), self.settings, served, self.now())
        last = entries[-1] if entries else None
        if following.do != "settle":
            self._follow(served)
        if following.do in ("watch", "wait"):
            return Did(following.do, following.why, served)
        if following.do == "ask":
            return self._ask(following, served)
        assert last  # noqa: S101 nothing but asking begins without one
        if following.do == "approve":
            return self._note("approved", "", served, following.why)
        if following.do == "train":
            return self._train(served)
        if following.do == "try":
            return self._try(last, served)
        if following.do == "judge":
            return self._judge(last, served)
        return self._settle(last)

    @property
    def _journal(self) -> Journal:
        return Journal(self.store, self.settings.name)

    def _windows(self) -> list[Any]:
        return WindowLog(self.settings.observation / WINDOWS).read()

    def _follow(self, served: str) -> None:
        """The server serves what the channel names, whoever moved it."""
        if self.server.told() != served:
            self.server.tell(served)

    def _ask(self, following: Next, served: str) -> Did:
        if self.trainer and self.trainer.run() == self._run_of(served):
            return Did("watch", f"{following.why}, but there are no new data to train on", served)
        return self._note("asked", "", served, following.why, following.evidence)

    def _run_of(self, release: str) -> str:
        """The training run of a release; empty if it does not say."""
        manifest = json.loads((self.store.fetch(release) / "release.json").read_text(encoding="utf-8"))
        return str(manifest.get("run", "")).removeprefix("sha256:")

    def _train(self, served: str) -> Did:
        if self.trainer is None:
            return Did("wait", "there is no trainer here: bring a release", served)
        try:
            made = self.trainer.train(self.store.fetch(served), self._run_of(served))
        except TemporaryError:
            raise
        except ScenarioModelError as error:
            return self._note("refused", "", served, str(error))
        evidence = {"run": made.run, "curve": made.curve}
        return self._note("trained" if made.passed else "refused", made.release, served, made.why, evidence)

    def _try(self, last: Entry, served: str) -> Did:
        if self.settings.canary is None:
            return self._promote(last.release, served, "no canary is tried here, and its gate let it through")
        self.settings.canary.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.settings.canary, f"{last.release}\n")
        return self._note("tried", last.release, served, "it answers its share beside the running release")

    def _judge(self, last: Entry, served: str) -> Did:
        assert self.settings.canary  # noqa: S101 else nothing was tried
        told = self._canary()
        if told.get("release") != last.release:
            # Named again, should somebody have removed the file.
            write_text(self.settings.canary, f"{last.release}\n")
            return Did("wait", "the server has not taken the canary yet", last.release)
        if told["state"] in ("worse", "failed"):
            why = {
                "worse": f"it was worse: {told['why']}",
                "failed": f"it could not be loaded: {told['why']}",
            }
            self.settings.canary.unlink(missing_ok=True)
            return self._note("dropped", last.release, served, why[told["state"]], _figures(told))
        if told["canary"] >= self.settings.canary_requests and told["running"] > 0:
            why_not = f"{told['canary']} requests, and by no measure worse"
            return self._promote(last.release, served, why_not, _figures(told))
        missing = f"{told['canary']} of {self.settings.canary_requests} requests"
        if last.event == "tried" and self.now() > last.time + self.settings.canary_seconds:
            return self._note("held", last.release, served, f"too little traffic to judge it: {missing}")
        return Did("wait", f"the canary has answered {missing}", last.release)

    def _canary(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(
                (self.settings.observation / "canary.json").read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            return {}
        return told

    def _promote(self, release: str, served: str, why: str, evidence: dict[str, Any] | None = None) -> Did:
        did = self._note("promoted", release, served, why, evidence)
        self._move(release)
        return did

    def _move(self, release: str) -> None:
        """Idempotent: channel first, then server; the canary is none any more as soon as it is the running one."""
        mark = channel.Stamp(at=self._at(), by="lifecycle")
        channel.promote(self.store, release, self.settings.channel, self.key, **mark)
        self._follow(release)
        if self.settings.canary:
            self.settings.canary.unlink(missing_ok=True)

    def _settle(self, last: Entry) -> Did:
        self._move(last.release)
        if self.server.ready() == last.release:
            return self._note("settled", last.release, last.release, "the server is ready with it")
        if self.now() < last.time + _READY_SECONDS:
            return Did("wait", "the server is not ready with it yet", last.release)
        channel.promote(
            self.store, last.beside, self.settings.channel, self.key, at=self._at(), by="lifecycle"
        )
        self._follow(last.beside)
        why = f"the server was not ready with it after {_READY_SECONDS:.0f} s"
        return self._note("returned", last.release, last.beside, why)

    def _note(
        self, event: Event, release: str, beside: str, why: str, evidence: dict[str, Any] | None = None
    ) -> Did:
        entry = Entry(
            event=event, at=self._at(), release=release, beside=beside, why=why, evidence=evidence or {}
        )
        self._journal.append(self.key, entry)
        return Did(event, why, release or beside)

    def _at(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="milliseconds")

    def approve(self, by: str) -> Did:
        """A person approves what was asked for. Raises ScenarioModelError if nothing was."""
        entries = self._journal.entries(self.key.public_key())
        if not entries or entries[-1].event != "asked":
            raise ScenarioModelError(
                "nothing waits for approval", remedy="see `scenario-model lifecycle history`"
            )
        return self._note("approved", "", entries[-1].beside, f"approved by {by}")


def _figures(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("canary", "running", "compared", "worse")}
