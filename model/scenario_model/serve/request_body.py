"""Reads a request's body, limited in size and time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from scenario_model.serve.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

    from scenario_model.serve.settings import Limits


class Disconnected(Exception):  # noqa: N818  (not an error: clients may disconnect)
    """The client disconnected before its request was answered."""


async def read_body(scope: Scope, receive: Receive, limits: Limits) -> bytes:
    """Read the whole body. Raises ApiError 408, 413 or 415, or Disconnected."""
    headers = Headers(scope=scope)
    kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind != "application/json" or headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "Send the request as plain 'application/json'.", code="unsupported_media_type")
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limits.body_bytes:
        raise _too_large(limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                size += len(message.get("body", b""))
                if size > limits.body_bytes:
                    raise _too_large(limits)
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise ApiError(
            408, f"The request body did not arrive within {limits.body_seconds:g} s.", code="request_timeout"
        ) from None


def _too_large(limits: Limits) -> ApiError:
    return ApiError(
        413, f"The request body is larger than {limits.body_bytes} bytes.", code="request_too_large"
    )
