"""Keeps texts of prompts, encrypted, one file per window, until they expire or newer ones need their room.

What cannot be kept is lost, and nothing else: the reason is said once, until something could be kept again.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from scenario_model.atomic_io import write_bytes
from scenario_model.observe import sealed
from scenario_model.signing.keys import fingerprint, public_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scenario_model.observe.sessions import Session
    from scenario_model.observe.settings import KeptText
    from scenario_model.observe.windows import Window

    Decode = Callable[[Sequence[int]], str]

FOLDER, SUFFIX = "text", ".kept"
_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d{1,3})d-[0-9a-f]{8}\.kept")
"""The window's start, and days until it expires: files go in the order of their names."""
_TIME = "%Y%m%dT%H%M%SZ"
_ROOM = 8192
"""For what a file has besides its texts."""


class _Kept(NamedTuple):
    path: Path
    until: float
    size: int


class TextKeeper:
    """One server's kept text. Used by one thread at a time; raises nothing."""

    def __init__(
        self, state: Path, settings: KeptText | None, say: Callable[[str], None], now: Callable[[], float]
    ) -> None:
        """Delete what has expired, or everything if no text is to be kept. `state`: the folder of observations."""
        self._folder, self._settings, self._say, self._now = state / FOLDER, settings, say, now
        self._recipient = public_key(settings.recipient.encode(), "recipient") if settings else None
        self._chance = secrets.SystemRandom()
        self._failing: set[str] = set()
        self._try("deleted", self._sweep)

    @property
    def wanted(self) -> bool:
        """Whether text is to be kept."""
        return self._settings is not None

    def announce(self) -> None:
        """Say that text is kept, to whom and for how long: nobody should have to guess."""
        if self._settings and self._recipient:
            self._say(
                f"texts of {self._settings.share:.0%} of the sessions are kept for {self._settings.days} days, "
                f"encrypted to the key sha256:{fingerprint(self._recipient)}"
            )

    def end_window(self, window: Window, sessions: Sequence[Session], decode: Decode | None) -> None:
        """Keep the texts of the window's sessions, and delete what has expired."""
        self._try("deleted", self._sweep)
        if decode:
            self._try("kept", lambda: self._keep(window, sessions, decode))

    def _try(self, done: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 the server goes on, whatever befalls these files
            if done not in self._failing:
                # Not the error's own text: a tokenizer's might have some of the prompt's.
                why = error.strerror if isinstance(error, OSError) else type(error).__name__
                self._say(f"{self._folder}: texts cannot be {done}: {why}")
            self._failing.add(done)
        else:
            self._failing.discard(done)

    def _keep(self, window: Window, sessions: Sequence[Session], decode: Decode) -> None:
        settings, recipient = self._settings, self._recipient
        if settings is None or recipient is None:
            return
        drawn = [each for each in sessions if self._chance.random() < settings.share]
        texts = [decode(ids.tolist()) for session in drawn for ids in session.conversations]
        content, size = [], _ROOM
        for line in sealed.lines([text for text in texts if text.strip()]):
            if size + len(line) <= settings.most_bytes:
                content.append(line)
                size += len(line)
        if not content:
            return
        start = datetime.fromtimestamp(window.start, UTC)
        header = sealed.Header(
            recipient=fingerprint(recipient),
            release=window.release,
            start=window.start,
            until=(start + timedelta(days=settings.days)).timestamp(),
            asks=window.asks,
        )
        file = sealed.sealed(header, content, recipient)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(settings.most_bytes - len(file))
        name = f"{start.strftime(_TIME)}-{settings.days}d-{secrets.token_hex(4)}{SUFFIX}"
        write_bytes(self._folder / name, file, mode=0o600)

    def _make_room(self, most: int) -> None:
        kept = self._files()
        total = sum(each.size for each in kept)
        for each in kept:
            if total <= most:
                return
            each.path.unlink(missing_ok=True)
            total -= each.size

    def _sweep(self) -> None:
        if not self._folder.is_dir():
            return
        for leftover in self._folder.glob(f".*{SUFFIX}.writing"):
            leftover.unlink(missing_ok=True)
        for each in self._files():
            if each.until <= self._now():
                each.path.unlink(missing_ok=True)
        if self._settings is None:
            # Files of somebody else's stay, and the folder with them.
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    def _files(self) -> list[_Kept]:
        """All that is kept, the oldest first. It expires when its name says, or earlier if the settings now say so."""
        found = []
        for path in sorted(self._folder.iterdir()):
            if name := _NAME.fullmatch(path.name):
                days = min(int(name[2]), self._settings.days) if self._settings else 0
                start = datetime.strptime(name[1], _TIME).replace(tzinfo=UTC)
                until = (start + timedelta(days=days)).timestamp() if days else 0.0
                found.append(_Kept(path, until, path.stat().st_size))
        return found
