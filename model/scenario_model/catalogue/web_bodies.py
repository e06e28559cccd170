"""Reads what clients send to the web server, and never more than they may."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scenario_model.errors import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

_FIELDS_BYTES = 32 * 1024


async def body(request: Request, limit: int) -> bytes:
    """Return a request's body. Raises Refused if it is larger than `limit` bytes."""
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > limit:
            raise Refused(f"the body is larger than {limit} bytes")
    return content


async def fields(request: Request, *names: str) -> dict[str, str]:
    """Return the texts of a body that is a JSON object with these names. Raises Refused if it is not."""
    try:
        read = json.loads(await body(request, _FIELDS_BYTES))
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or any(not isinstance(read.get(name), str) for name in names):
        raise Refused(f"the body is not an object with {', '.join(names)}")
    return {name: read[name] for name in names}
