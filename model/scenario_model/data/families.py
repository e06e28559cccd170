"""Conversations that share turns belong together: a log often has one line per turn, each with all before it.

If such lines stood on both sides of the split, the gate would ask for what was learnt by heart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scenario_model.digests import json_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scenario_model.data.conversations import Conversation

_LONG_EXCHANGE = 80  # characters; shorter ones ("Hi", "Hello, how can I help?") say nothing about kinship


def families(conversations: Sequence[Conversation]) -> list[str]:
    """Return each conversation's family: those that share a history, or a longer exchange, have the same.

    A shared history is everything up to and with an answer, apart from the system's message. The name of a
    family is that of its first exchange, so that it stays when turns are added.
    """
    of = list(range(len(conversations)))

    def head(number: int) -> int:
        while of[number] != number:
            of[number] = of[of[number]]
            number = of[number]
        return number

    first_with: dict[str, int] = {}
    roots = []
    for number, each in enumerate(conversations):
        keys = list(_shared(each))
        roots.append(keys[0])
        for key in keys:
            of[head(number)] = head(first_with.setdefault(key, number))
    names: dict[int, str] = {}
    for number, root in enumerate(roots):
        names[head(number)] = min(root, names.get(head(number), root))
    return [names[head(number)] for number in range(len(conversations))]


def _shared(chat: Conversation) -> Iterator[str]:
    """Digests of what another conversation may share: first the shortest history, up to the first answer."""
    history: list[list[str]] = []
    for message in chat.messages:
        if message["role"] in {"system", "developer"}:
            continue
        history.append([message["role"], str(message["content"]), str(message.get("tool_calls", ""))])
        if message["role"] == "assistant":
            yield json_digest(history)
            exchange = history[-2:]
            if sum(len(text) for _, text, _ in exchange) >= _LONG_EXCHANGE:
                yield json_digest(["exchange", exchange])
