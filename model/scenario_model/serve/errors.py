"""Errors in OpenAI's format: a status, and `{"error": {message, type, param, code}}`.

The shape is that of the OpenAI API reference (https://platform.openai.com/docs/guides/error-codes).
"""

from __future__ import annotations

import math
from typing import Any

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """An error response. `retry_after` (seconds) and `allow` (methods) become the headers of these names."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after, self.allow = retry_after, allow
        self.challenge = "Bearer"

    @property
    def reason(self) -> str:
        """A word for logs and metrics, one of a few dozen: never what a client wrote."""
        return self.code or {400: "invalid_value", 500: "internal_error"}.get(
            self.status, f"http_{self.status}"
        )

    @property
    def body(self) -> dict[str, Any]:
        """The response's JSON object."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """Headers specific to the error."""
        headers = {}
        if self.retry_after is not None:
            headers["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        if self.allow:
            headers["allow"] = self.allow
        if self.status == 401:
            headers["www-authenticate"] = self.challenge
        return headers


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Build a 400 response with the fault and the parameter."""
    return ApiError(400, message, param=param, code=code)
