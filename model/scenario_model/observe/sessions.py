"""Groups requests into sessions, because those are what is independent: a hundred requests of one user are one unit.

A session is what a client calls one (`X-Session-Id`); without that, a conversation: requests whose prompts begin with
an earlier one's. Each counts once, in the window in which it began, without what was repeated. In memory alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ids = NDArray[np.int64]

_REMEMBERED = 512
"""Conversations, and sessions, of a client that are known again."""
_MOST_UNITS, _MOST_TOKENS = 256, 500_000
"""Of a window; what comes later in it is not observed."""
_Digest = bytes


@dataclass
class Session:
    """A session of a window: its client, and what each of its prompts added, with the number of its conversation."""

    client: str
    parts: list[tuple[int, Ids]] = field(default_factory=list)

    @property
    def ids(self) -> Ids:
        """All of it, in the order in which it came."""
        return np.concatenate([ids for _, ids in self.parts])

    @property
    def conversations(self) -> list[Ids]:
        """The same, each conversation by itself."""
        found: dict[int, list[Ids]] = {}
        for number, ids in self.parts:
            found.setdefault(number, []).append(ids)
        return [np.concatenate(each) for each in found.values()]


class _Known(NamedTuple):
    """The session and the conversation that a prompt belongs to."""

    session: int
    conversation: int


@dataclass
class _Client:
    """What is known of a client: of each conversation its last prompt's length and digest; its named sessions."""

    conversations: OrderedDict[tuple[int, _Digest], _Known] = field(default_factory=OrderedDict)
    named: OrderedDict[str, int] = field(default_factory=OrderedDict)


class Sessions:
    """Collects a window's units."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._number = self._tokens = 0
        self._sessions: dict[int, Session] = {}

    def add(self, client: str, session: str, prompt: tuple[int, ...]) -> None:
        """Count a request. `session`: the client's name for it; empty: none."""
        ids = np.array(prompt, dtype=np.int64)
        known = self._clients.setdefault(client, _Client())
        earlier, begun = self._continued(known, ids)
        number = known.named.get(session) if session else earlier.session if earlier else None
        if number is None:
            if len(self._sessions) >= _MOST_UNITS:
                return
            self._number += 1
            number = self._number
            self._sessions[number] = Session(f"{client}/{session or number}")
        if earlier and earlier.session == number:
            conversation = earlier.conversation
        else:
            self._number += 1
            conversation = self._number
        self._remember(known, session, ids, _Known(number, conversation))
        if number in self._sessions and self._tokens < _MOST_TOKENS:
            self._sessions[number].parts.append((conversation, ids[begun:]))
            self._tokens += len(ids) - begun

    def window(self) -> list[Session]:
        """End the window: its sessions, but for those that came when there was no room for a token more."""
        sessions, self._sessions, self._tokens = self._sessions, {}, 0
        return [session for session in sessions.values() if session.parts]

    @staticmethod
    def _continued(known: _Client, ids: Ids) -> tuple[_Known | None, int]:
        """The conversation that a prompt goes on with, and how much of it that had already."""
        digest, at = hashlib.blake2b(digest_size=16), 0
        found, begun = None, 0
        for length in sorted({length for length, _ in known.conversations if length <= len(ids)}):
            digest.update(ids[at:length].tobytes())
            at = length
            earlier = known.conversations.get((length, digest.digest()))
            if earlier is not None:
                found, begun = earlier, length
        return found, begun

    @staticmethod
    def _remember(known: _Client, session: str, ids: Ids, now: _Known) -> None:
        key = (len(ids), hashlib.blake2b(ids.tobytes(), digest_size=16).digest())
        known.conversations[key] = now
        known.conversations.move_to_end(key)
        if session:
            known.named[session] = now.session
            known.named.move_to_end(session)
        for each in (known.conversations, known.named):
            while len(each) > _REMEMBERED:
                each.popitem(last=False)
