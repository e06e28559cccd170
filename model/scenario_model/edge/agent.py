"""One step of a site: visit the catalogue, bring what is assigned, verify it, switch to it, and go back if it fails.

Each step starts from what is on the disk, so an agent that is killed anywhere goes on. Whatever goes wrong, the site
serves what it served.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from scenario_model.atomic_io import write_json
from scenario_model.catalogue.download import Download, Pace
from scenario_model.edge.window import is_open
from scenario_model.errors import Refused, ScenarioModelError, TemporaryError
from scenario_model.release.names import ReleaseId
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenario_model.catalogue.documents import Assignment
    from scenario_model.catalogue.sources import Source
    from scenario_model.catalogue.visitor import Visitor
    from scenario_model.edge.local_server import LocalServer
    from scenario_model.edge.settings import EdgeSettings

Step = Literal["idle", "waiting", "downloading", "verifying", "switching", "refused"]
Refusal = Literal[
    "", "catalogue", "expired", "floor", "signature", "room", "load", "selftest", "slow", "link"
]
_FAILED = "failed"
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step came to. `words`: for the site's own log; they are not reported."""

    step: Step
    serves: str = ""
    assigned: str = ""
    refusal: Refusal = ""
    words: str = ""
    visited: bool = False
    """Whether the catalogue was read, and believed."""


@dataclass(frozen=True)
class Agent:
    """The agent of one site. `now` and `sleep`: for tests."""

    settings: EdgeSettings
    source: Source
    visitor: Visitor
    server: LocalServer
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep

    def step(self) -> Outcome:
        """Do what there is to do. Never raises for what a catalogue, a link or a release may be like."""
        if self._switching.is_file():
            # Of an agent that was killed meanwhile.
            return self._see_through(Outcome("switching", assigned=self.server.told()))
        outcome = Outcome("idle", serves=self.server.ready())
        try:
            self.visitor.visit()
            assigned = self.visitor.assignment(self.settings.site, self.settings.ring)
        except TemporaryError as error:
            return replace(outcome, refusal="link", words=str(error))
        except Refused as error:
            kind: Refusal = "expired" if " is expired" in str(error) else "catalogue"
            return replace(outcome, step="refused", refusal=kind, words=str(error))
        except ScenarioModelError as error:
            return replace(outcome, step="refused", refusal="room", words=str(error))
        outcome = replace(outcome, visited=True)
        if assigned is None or (assigned.release == self.server.told() and self._has(assigned.release)):
            return outcome if assigned is None else replace(outcome, assigned=assigned.release)
        return self._take(replace(outcome, assigned=assigned.release), assigned)

    def first(self) -> bool:
        """Bring the release that is assigned, for a server that has none yet; False if it has one.

        Raises Refused if it is not believed, TemporaryError if none is assigned yet or the catalogue cannot be reached.
        """
        if self.server.told():
            return False
        self.visitor.visit()
        assigned = self.visitor.assignment(self.settings.site, self.settings.ring)
        if assigned is None:
            raise TemporaryError(
                f"nothing is assigned to ring {self.settings.ring} or to {self.settings.site} yet",
                remedy="wait for the rollout, or see `scenario-model rollout status`",
            )
        self._bring(assigned)
        self.server.tell(assigned.release)
        return True

    def _take(self, outcome: Outcome, assigned: Assignment) -> Outcome:
        if self._has_failed(assigned.release):
            words = (
                f"{assigned.release} failed here before; it is not tried again until another one was assigned"
            )
            return replace(outcome, step="refused", refusal="load", words=words)
        try:
            self._bring(assigned)
        except TemporaryError as error:
            return replace(outcome, step="downloading", refusal="link", words=str(error))
        except Refused as error:
            kind: Refusal = "floor" if "below the floor" in str(error) else "signature"
            return replace(outcome, step="refused", refusal=kind, words=str(error))
        except ScenarioModelError as error:
            return replace(outcome, step="refused", refusal="room", words=str(error))
        if not is_open(self.settings.windows, self.now()):
            return replace(outcome, step="waiting", words="outside of the maintenance windows")
        return self._switch(outcome, assigned.release)

    def _bring(self, assigned: Assignment) -> None:
        """Put the release into the site's store, verified."""
        store, arriving = FolderStore(self.settings.store), self.settings.state / "arriving"
        index = self.visitor.index(assigned)
        if self._has(assigned.release):
            return
        pace = Pace(self.settings.bytes_per_second) if self.settings.bytes_per_second else None
        have = [path for path in self.settings.store.glob("releases/*/*") if path.is_dir()]
        folder = Download(self.source, arriving, have=have, pace=pace).bring(index)
        try:
            verify_release(folder, self.settings.verification_key, assigned.release)
        except Refused:
            # Its files are those that the release key listed, but it is not a release: keep none of it.
            shutil.rmtree(folder)
            raise
        store.upload(assigned.release, folder)
        shutil.rmtree(folder)

    def _has(self, release: str) -> bool:
        return (self.settings.store / ReleaseId.parse(release).key).is_dir()

    def _switch(self, outcome: Outcome, release: str) -> Outcome:
        self.settings.state.mkdir(parents=True, exist_ok=True)
        write_json(self._switching, {"former": self.server.told(), "release": release})
        return self._see_through(outcome)

    def _see_through(self, outcome: Outcome) -> Outcome:
        """Switch, and go back if the server does not become ready; both are noted until one of them is done."""
        noted = json.loads(self._switching.read_text(encoding="utf-8"))
        done = self._settled(outcome, noted["release"], noted["former"])
        self._switching.unlink()
        return done

    def _settled(self, outcome: Outcome, release: str, former: str) -> Outcome:
        if not self._has_failed(release):
            self.server.tell(release)
            if self._becomes_ready(release):
                self._forget_failures()
                self._remove_old(release, former)
                return replace(outcome, step="idle", serves=release)
            self._note_failure(release)
        words = f"{release} was not ready within {self.settings.ready_seconds:g} s"
        if not former:
            return replace(outcome, step="refused", serves="", refusal="load", words=words)
        self.server.tell(former)
        back = former if self._becomes_ready(former) else ""
        words += f"; {former} {'serves again' if back else 'is not ready either'}"
        return replace(outcome, step="refused", serves=back, refusal="load", words=words)

    def _becomes_ready(self, release: str) -> bool:
        deadline = time.monotonic() + self.settings.ready_seconds
        while self.server.ready() != release:
            if time.monotonic() > deadline:
                return False
            self.sleep(_POLL_S)
        return True

    def _remove_old(self, release: str, former: str) -> None:
        """Keep what is served, what was served before it, and the newest others, `keep` in all."""
        folders = [path for path in self.settings.store.glob("releases/*/*") if path.is_dir()]
        needed = {self.settings.store / ReleaseId.parse(each).key for each in (release, former) if each}
        others = sorted(
            (path for path in folders if path not in needed), key=lambda path: path.stat().st_mtime
        )
        for path in others[: max(0, len(folders) - max(self.settings.keep, len(needed)))]:
            shutil.rmtree(path)

    @property
    def _switching(self) -> Path:
        return self.settings.state / "switching.json"

    @property
    def _failures(self) -> Path:
        return self.settings.state / _FAILED

    def _has_failed(self, release: str) -> bool:
        return self._failures.is_file() and release in self._failures.read_text(encoding="utf-8").split()

    def _note_failure(self, release: str) -> None:
        self._failures.parent.mkdir(parents=True, exist_ok=True)
        with self._failures.open("a", encoding="utf-8") as file:
            file.write(f"{release}\n")

    def _forget_failures(self) -> None:
        self._failures.unlink(missing_ok=True)
