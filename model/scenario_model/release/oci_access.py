"""Answers a registry's challenge: basic credentials, or a token for what was asked, anonymous if there are none.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import httpx2

from scenario_model.errors import InputError, Refused, TemporaryError
from scenario_model.release.oci_credentials import credentials_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.release.oci_credentials import Credentials

_PARAMETER = re.compile(r'([a-z_]+)="([^"\\]*)"')
_MAX_TOKEN_BYTES = 2**20
_CLIENT = "scenario-model"


class Access:
    """What is sent as `Authorization` to one registry, and to nobody else."""

    def __init__(self, client: httpx2.Client, host: str, check_url: Callable[[httpx2.URL], None]) -> None:
        """`check_url` refuses an address that may not be asked, such as one without TLS."""
        self._client, self._host, self._check_url = client, host, check_url
        self.headers: dict[str, str] = {}

    def answer(self, challenge: str) -> None:
        """Set `headers` for a request that was answered 401. Raises InputError if there is nothing to answer."""
        scheme, _, rest = challenge.partition(" ")
        found = dict(_PARAMETER.findall(rest))
        known = credentials_for(self._host)
        if scheme.lower() == "bearer" and found.get("realm"):
            self.headers = {"authorization": f"Bearer {self._token(found, known)}"}
        elif scheme.lower() == "basic" and known and not known.is_identity:
            self.headers = {"authorization": known.basic}
        else:
            raise self.denied()

    def denied(self, why: str = "denies access") -> InputError:
        """Return the error, with its remedy. No `Refused`: what a pull has received stays for the next login."""
        return InputError(why, where=self._host, remedy=f"docker login {self._host}, or ask for the right")

    def _token(self, challenge: dict[str, str], known: Credentials | None) -> str:
        realm = httpx2.URL(challenge["realm"])
        self._check_url(realm)
        asked = {name: challenge[name] for name in ("service", "scope") if challenge.get(name)}
        if known and known.is_identity:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": known.secret,
                "client_id": _CLIENT,
                **asked,
            }
            request = self._client.build_request("POST", realm, data=form)
        else:
            url = realm.copy_merge_params(asked)
            request = self._client.build_request(
                "GET", url, headers={"authorization": known.basic} if known else {}
            )
        try:
            answer = self._client.send(request, stream=True, auth=None)
            content = limited(answer, _MAX_TOKEN_BYTES)
        except httpx2.HTTPError as error:
            raise TemporaryError(
                f"gives no token: {error or type(error).__name__}", where=str(realm.host)
            ) from None
        if answer.status_code >= 500 or answer.status_code == 429:
            raise TemporaryError(f"gives no token: it answers {answer.status_code}", where=str(realm.host))
        told = _object(content)
        token = told.get("token") or told.get("access_token")
        if (
            not answer.is_success
            or not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
        ):
            raise self.denied(f"denies access: {realm.host} gives no token (it answers {answer.status_code})")
        return token


def limited(answer: httpx2.Response, limit: int) -> bytes:
    """Return a response's body, closing it. Raises Refused if it is longer than `limit` bytes."""
    content = b""
    try:
        for piece in answer.iter_bytes():
            content += piece
            if len(content) > limit:
                raise Refused(f"answers with more than {limit} bytes", where=str(answer.url.host))
    finally:
        answer.close()
    return content


def _object(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    return told if isinstance(told, dict) else {}
