"""The observer of a server: a thread that takes notes of requests, and looks for drift at the end of each window."""

from __future__ import annotations

import secrets
import statistics
import threading
import time
from collections import Counter, deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, NamedTuple

from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from scenario_model.atomic_io import write_bytes
from scenario_model.drift.agreement import asks
from scenario_model.drift.baseline import FILE, Baseline
from scenario_model.drift.detectors import Detectors
from scenario_model.observe.kept_text import TextKeeper
from scenario_model.observe.sessions import Sessions
from scenario_model.observe.windows import Window, WindowLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scenario_model.drift.detectors import Signal
    from scenario_model.drift.scores import Unit
    from scenario_model.observe.kept_text import Decode
    from scenario_model.observe.settings import ObservationHere

_MOST_NOTES = 20_000
_LOOKS_SECONDS = 0.5
WINDOWS = "windows.jsonl"


class Note(NamedTuple):
    """A request that was accepted: its client, its session by that client's name, its prompt."""

    client: str
    session: str
    prompt: tuple[int, ...]


class End(NamedTuple):
    """A request that has ended: its HTTP status, milliseconds until its first token, and tokens of both sides."""

    status: int
    first_token_ms: float | None
    prompt_tokens: int
    answer_tokens: int


class Loss(NamedTuple):
    """Bits per byte that the served model needs for a prompt."""

    bits_per_byte: float


class Rating(NamedTuple):
    """What a person thinks of an answer."""

    rating: Literal["good", "bad"]


class Observer:
    """Takes notes from the event loop's thread, which never waits for it.

    Client and session are known by a keyed hash whose key dies with the process.
    """

    def __init__(
        self,
        settings: ObservationHere,
        release: str,
        directory: Path,
        say: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`directory`: of the verified release. `say`: where trouble is told. Raises InputError for a bad baseline."""
        self._settings, self._release, self._say, self._now = settings, release, say, now
        self.log = WindowLog(settings.state / WINDOWS)
        baseline = directory / FILE
        self._detectors = None
        if baseline.is_file():
            self._detectors = Detectors(Baseline.read(baseline), settings.windows_per_false_alarm)
            self._resume(self._detectors)
        self.signals: list[Signal] = self._detectors.signals() if self._detectors else []
        self.window_seconds = settings.window_seconds
        self.windows_per_false_alarm = settings.windows_per_false_alarm
        self.windows = self.units = 0
        """Windows since this server's start, and units of the last."""
        self._key, self._notes = secrets.token_bytes(16), deque[Note | End | Rating | Loss]()
        self._texts = TextKeeper(settings.state, settings.kept_text, say, now)
        self.decode: Decode | None = None
        """Text of token ids, without special tokens; None: no engine is loaded yet, and no text is kept."""
        self._sessions, self._ends, self._missed = Sessions(), list[End](), 0
        self._losses = list[float]()
        self.loss: float | None = None
        """Bits per byte in the last window that has any."""
        self._ratings = Counter[str]()
        self._start = self._begin()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="observer", daemon=True)

    @property
    def baseline(self) -> Baseline | None:
        """Of the release; None if it has none."""
        return self._detectors.baseline if self._detectors else None

    def start(self, decode: Decode) -> None:
        """Begin. `decode` is called in the observer's thread."""
        self.decode = decode
        self._texts.announce()
        self._thread.start()

    def stop(self) -> None:
        """End; the window that has begun is lost, and with it nothing but some evidence."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def note(self, client: str, session: str, prompt: tuple[int, ...]) -> None:
        """Note an accepted request."""
        self._take(Note(client, session, prompt))

    def end(
        self, status: int, first_token_ms: float | None, prompt_tokens: int = 0, answer_tokens: int = 0
    ) -> None:
        """Note a request's end."""
        self._take(End(status, first_token_ms, prompt_tokens, answer_tokens))

    def loss_of_prompt(self, bits_per_byte: float) -> None:
        """Note what the served model needs for a prompt."""
        self._take(Loss(bits_per_byte))

    def rated(self, rating: Literal["good", "bad"]) -> None:
        """Note what a person thinks of an answer."""
        self._take(Rating(rating))

    def _take(self, note: Note | End | Rating | Loss) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes.append(note)
        else:
            self._missed += 1

    def _work(self) -> None:
        while not self._over.wait(_LOOKS_SECONDS):
            self.look()

    def look(self) -> None:
        """Take in what was noted, and end the window if it is over."""
        while self._notes:
            note = self._notes.popleft()
            if isinstance(note, End):
                self._ends.append(note)
            elif isinstance(note, Rating):
                self._ratings[note.rating] += 1
            elif isinstance(note, Loss):
                self._losses.append(note.bits_per_byte)
            elif self._detectors or self._texts.wanted:
                self._sessions.add(self._hashed(note.client), self._hashed(note.session), note.prompt)
        if self._now() < self._start + self.window_seconds:
            return
        try:
            self._end_window()
        except Exception as error:  # noqa: BLE001 the server goes on, whatever befalls its observer
            self._say(f"observations cannot be kept: {type(error).__name__}: {error}")

    def _end_window(self) -> None:
        units: list[Unit] = []
        sessions = self._sessions.window()
        if self._detectors:
            unit = self._detectors.baseline.unit
            units = [(each.client, pieces) for each in sessions if (pieces := unit(each.ids))]
            self.signals = self._detectors.window(units)
        self.windows, self.units = self.windows + 1, len(units)
        ends, self._ends = self._ends, []
        answered = [end for end in ends if end.status < 400 and end.answer_tokens]
        losses, self._losses = self._losses, []
        loss = round(statistics.median(losses), 3) if losses else None
        self.loss = loss if loss is not None else self.loss
        missed, self._missed = self._missed, 0
        ratings, self._ratings = self._ratings, Counter()
        window = Window(
            start=self._start,
            seconds=self.window_seconds,
            release=self._release,
            answered=sum(end.status < 400 for end in ends),
            refused=sum(400 <= end.status < 500 for end in ends),
            failed=sum(end.status >= 500 for end in ends),
            units=len(units),
            first_token_ms=_middle_and_late([end.first_token_ms for end in ends if end.first_token_ms]),
            signals=[(each.name, round(each.value, 3), each.threshold) for each in self.signals],
            asks=asks(self.signals),
            missed=missed,
            good=ratings["good"],
            bad=ratings["bad"],
            prompt_tokens=_middle_and_late([end.prompt_tokens for end in answered]),
            answer_tokens=_middle_and_late([end.answer_tokens for end in answered]),
            loss=loss,
        )
        self._start = self._begin()
        try:
            self.log.add(window)
            if self._detectors:
                write_bytes(self._state, save(self._detectors.state()))
        finally:
            # After the numbers, which matter more on a disk that is nearly full; what has expired goes in any case.
            self._texts.end_window(window, sessions, self.decode)

    def _begin(self) -> float:
        return self._now() // self.window_seconds * self.window_seconds

    def _hashed(self, name: str) -> str:
        return blake2b(name.encode(), key=self._key, digest_size=8).hexdigest() if name else ""

    @property
    def _state(self) -> Path:
        # Of one release and one promise: another one's evidence is none.
        told = f"{self._release} {self._settings.windows_per_false_alarm}"
        return self._settings.state / f"{blake2b(told.encode(), digest_size=8).hexdigest()}.safetensors"

    def _resume(self, detectors: Detectors) -> None:
        try:
            self._settings.state.mkdir(parents=True, exist_ok=True)
            for path in self._settings.state.glob("*.safetensors"):
                if path != self._state:
                    path.unlink(missing_ok=True)
            if self._state.is_file():
                detectors.resume(load_file(self._state))
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            self._say(f"evidence begins anew, because it cannot be read: {type(error).__name__}")


def _middle_and_late(times: Sequence[float]) -> tuple[float, float] | None:
    if not times:
        return None
    ordered = sorted(times)
    return round(statistics.median(ordered), 1), round(ordered[int(0.99 * (len(ordered) - 1))], 1)
