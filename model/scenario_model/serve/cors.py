"""Which web pages may call the API from a browser (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Scope

    Headers = list[tuple[bytes, bytes]]

# Browser libraries send a dozen fields of their own; which ones is theirs to say.
_FIELD_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, \t-]{1,2000}")
_EXPOSED = b"x-request-id, x-release, retry-after"
_REMEMBERED_SECONDS = b"600"


class Cors:
    """The answers' fields for the allowed origins; `*` allows all. Without any, browsers are told nothing."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = {origin.encode() for origin in origins}

    def headers(self, scope: Scope) -> Headers:
        """Return the fields that every answer to this request has."""
        if not self._origins:
            return []
        # Caches must not give one page the answer for another.
        vary = [] if b"*" in self._origins else [(b"vary", b"origin")]
        allowed = self._allowed(scope)
        if allowed is None:
            return vary
        fields = [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", _EXPOSED)]
        return fields + vary

    def preflight(self, scope: Scope) -> Headers | None:
        """Return the further fields of the answer to a browser that asks before it sends; None if it is none."""
        asked = dict(scope["headers"])
        is_preflight = scope["method"] == "OPTIONS" and b"access-control-request-method" in asked
        if not is_preflight or self._allowed(scope) is None:
            return None
        fields = [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-max-age", _REMEMBERED_SECONDS),
        ]
        wanted = asked.get(b"access-control-request-headers", b"")
        if _FIELD_NAMES.fullmatch(wanted):
            fields.append((b"access-control-allow-headers", wanted))
        if asked.get(b"access-control-request-private-network") == b"true":
            fields.append((b"access-control-allow-private-network", b"true"))
        return fields

    def _allowed(self, scope: Scope) -> bytes | None:
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if len(origins) != 1:
            return None
        if b"*" in self._origins:
            return b"*"
        return origins[0] if origins[0] in self._origins else None
