"""What a request's head must say about its framing (RFC 9110 and 9112), beyond what the parser refuses.

Where two readers of one connection disagree on where a request ends, the second can be made to see requests that
nobody sent. So whatever could be read in two ways is refused, and the connection closed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scenario_model.serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

# RFC 3986: a registered name or an address, and a port; empty where the target has no authority.
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")


def fault(version: str, headers: Sequence[tuple[bytes, bytes]]) -> ApiError | None:
    """Return the error for a head with these (lower-case) fields; None if it is one request, in one way."""
    if version not in ("1.0", "1.1"):
        return ApiError(505, "Send HTTP/1.1 or HTTP/1.0.", code="http_version_not_supported")
    return (
        _host_fault(version, headers) or _body_fault(version, headers) or _expectation_fault(version, headers)
    )


def _values(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _host_fault(version: str, headers: Sequence[tuple[bytes, bytes]]) -> ApiError | None:
    hosts = _values(headers, b"host")
    if len(hosts) > 1 or (version == "1.1" and not hosts):
        return _malformed(f"A request must have exactly one 'Host', not {len(hosts)}.")
    if hosts and not _HOST.fullmatch(hosts[0]):
        return _malformed("The value of 'Host' is not a host with an optional port.")
    return None


def _body_fault(version: str, headers: Sequence[tuple[bytes, bytes]]) -> ApiError | None:
    lengths, codings = _values(headers, b"content-length"), _values(headers, b"transfer-encoding")
    if len(lengths) > 1 or any(not length.isdigit() for length in lengths):
        return _malformed("A request may have one 'Content-Length', a whole number.")
    if not codings:
        return None
    if lengths or version == "1.0":
        return _malformed("'Transfer-Encoding' may be used in HTTP/1.1 only, without 'Content-Length'.")
    applied = [coding.strip(b" \t").lower() for value in codings for coding in value.split(b",")]
    if applied == [b"chunked"]:
        return None
    if applied[-1:] == [b"chunked"] and applied.count(b"chunked") == 1:
        return ApiError(501, "The only transfer coding is 'chunked'.", code="transfer_coding_not_supported")
    return _malformed("The last transfer coding must be 'chunked', once.")


def _expectation_fault(version: str, headers: Sequence[tuple[bytes, bytes]]) -> ApiError | None:
    expected = {value.lower() for value in _values(headers, b"expect")}
    if version == "1.1" and expected - {b"100-continue"}:
        return ApiError(417, "The only expectation is '100-continue'.", code="expectation_failed")
    return None


def _malformed(message: str) -> ApiError:
    return ApiError(400, message, code="malformed_request")
