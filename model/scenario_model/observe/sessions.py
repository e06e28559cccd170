"""Groups requests into sessions, because those are what is independent: a hundred requests of one user are one unit.

A session is what a client calls one (`X-Session-Id`); without that, a conversation: requests whose prompts begin with
an earlier one's. Each counts once, in the window in which it began, without what was repeated. In memory alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
class _Client:
    """What is known of a client: of each conversation its last prompt's length and digest, and its session."""

    conversations: OrderedDict[tuple[int, _Digest], int] = field(default_factory=OrderedDict)
    named: OrderedDict[str, int] = field(default_factory=OrderedDict)


class Sessions:
    """Collects a window's units."""

    def __init__(self) -> None:
        self._clients: dict[str, _Client] = {}
        self._number = self._tokens = 0
        self._texts: dict[int, tuple[str, list[Ids]]] = {}

    def add(self, client: str, session: str, prompt: tuple[int, ...]) -> None:
        """Count a request. `session`: the client's name for it; empty: none."""
        ids = np.array(prompt, dtype=np.int64)
        known = self._clients.setdefault(client, _Client())
        number, begun = self._continued(known, session, ids)
        if number is None:
            if len(self._texts) >= _MOST_UNITS:
                return
            self._number += 1
            number = self._number
            self._texts[number] = (f"{client}/{session or number}", [])
        self._remember(known, session, ids, number)
        if number in self._texts and self._tokens < _MOST_TOKENS:
            self._texts[number][1].append(ids[begun:])
            self._tokens += len(ids) - begun

    def window(self) -> list[tuple[str, Ids]]:
        """End the window: its sessions' texts as token ids, each with its client."""
        texts, self._texts, self._tokens = self._texts, {}, 0
        return [(client, np.concatenate(parts)) for client, parts in texts.values()]

    @staticmethod
    def _continued(known: _Client, session: str, ids: Ids) -> tuple[int | None, int]:
        """The session that a prompt goes on with, and how much of it that had already."""
        digest, at = hashlib.blake2b(digest_size=16), 0
        found, begun = None, 0
        for length in sorted({length for length, _ in known.conversations if length <= len(ids)}):
            digest.update(ids[at:length].tobytes())
            at = length
            number = known.conversations.get((length, digest.digest()))
            if number is not None:
                found, begun = number, length
        if session:
            found = known.named.get(session)
        return found, begun

    @staticmethod
    def _remember(known: _Client, session: str, ids: Ids, number: int) -> None:
        key = (len(ids), hashlib.blake2b(ids.tobytes(), digest_size=16).digest())
        known.conversations[key] = number
        known.conversations.move_to_end(key)
        if session:
            known.named[session] = number
            known.named.move_to_end(session)
        for each in (known.conversations, known.named):
            while len(each) > _REMEMBERED:
                each.popitem(last=False)
