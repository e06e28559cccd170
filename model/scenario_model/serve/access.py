"""Authentication and rate limits: API keys and their quotas."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from scenario_model.serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scenario_model.serve.settings import ApiKeys, Limits


class Keyring:
    """Looks up a key's name without storing the key, in constant time."""

    def __init__(self, api_keys: ApiKeys) -> None:
        self._hashes = [(bytes.fromhex(key.sha256), key.id) for key in api_keys.keys]
        self.names = [key.id for key in api_keys.keys]

    def identify(self, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """Return the key's name for `Authorization: Bearer KEY`. Raises ApiError 401."""
        values = [value for name, value in headers if name == b"authorization"]
        scheme, _, key = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        if scheme.lower() != b"bearer" or not key:
            raise ApiError(401, "No API key: send it as 'Authorization: Bearer KEY'.", code="missing_api_key")
        digest = hashlib.sha256(key.strip()).digest()
        matches = [name for known, name in self._hashes if hmac.compare_digest(known, digest)]
        if not matches:
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")
        return matches[0]


class Bucket:
    """A token bucket: refilled evenly with `per_minute` units, with a capacity of one minute.

    `charge` may overdraw; `wait` is the delay until more may be taken.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._capacity, self._rate, self._now = float(per_minute), per_minute / 60, now
        self._level, self._at = self._capacity, now()

    def charge(self, amount: float) -> None:
        """Take `amount` out, below zero if necessary."""
        self._refill()
        self._level -= amount

    def wait(self, wanted: float = 1.0) -> float:
        """Seconds until `wanted` units are available; 0 if they are."""
        self._refill()
        return max(0.0, (wanted - self._level) / self._rate)

    def _refill(self) -> None:
        now = self._now()
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now


class RateLimiter:
    """Requests and tokens per minute, per key."""

    def __init__(self, limits: Limits, names: Sequence[str]) -> None:
        self._requests = _buckets(limits.requests_per_minute, names)
        self._tokens = _buckets(limits.tokens_per_minute, names)

    def admit(self, name: str) -> None:
        """Count one request of the key. Raises ApiError 429 with Retry-After if it exceeds a limit."""
        for buckets, unit in ((self._requests, "requests"), (self._tokens, "tokens")):
            bucket = buckets.get(name)
            wait = bucket.wait() if bucket else 0.0
            if wait > 0:
                raise ApiError(
                    429,
                    f"Too many {unit} per minute for this API key; try again in {wait:.0f} s.",
                    code="rate_limit_exceeded",
                    retry_after=wait,
                )
        if name in self._requests:
            self._requests[name].charge(1)

    def charge_tokens(self, name: str, tokens: int) -> None:
        """Charge a request's actual tokens, prompt and answer."""
        if name in self._tokens:
            self._tokens[name].charge(tokens)


def _buckets(per_minute: int | None, names: Sequence[str]) -> dict[str, Bucket]:
    return {} if per_minute is None else {name: Bucket(per_minute) for name in names}
