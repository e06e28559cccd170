"""The site's way to the cloud: HTTPS with its own certificate."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2

from scenario_model.errors import Refused, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenario_model.catalogue.sources import HttpsSource
    from scenario_model.exchange.contract import Crossing

_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_REACH_SECONDS, _HTTPS = 1.0, 443
_BEFORE = "http11.send_request_headers.started"


class HttpsLine:
    """Posts to the catalogue's web server, over the connection on which its files are read."""

    def __init__(self, source: HttpsSource, record: Callable[..., None]) -> None:
        """`record`: notes what crosses. What cannot be noted is not sent."""
        self.url, self._client, self._record = source.url, source.client, record

    def is_reachable(self) -> bool:
        """Whether there is somebody at the other end, within a second."""
        there = urlsplit(self.url)
        try:
            with socket.create_connection((there.hostname or "", there.port or _HTTPS), _REACH_SECONDS):
                return True
        except OSError:
            return False

    def post(self, path: str, content: bytes, *crossing: Crossing) -> dict[str, object]:
        """See `sender.Line`."""
        where = f"{self.url}/{path}"

        def note(event: str, _info: object) -> None:
            # There is a connection, and nothing of this went over it yet.
            if event == _BEFORE:
                self._record(*crossing)

        try:
            answer = self._client.post(
                where,
                content=content,
                headers={"content-type": "application/json"},
                extensions={"trace": note},
            )
            told = answer.json() if answer.is_success else {}
        except (httpx2.HTTPError, ssl.SSLError, ValueError) as error:
            raise TemporaryError(str(error) or type(error).__name__, where=where) from None
        if answer.status_code in _TRY_AGAIN:
            raise TemporaryError(f"answers {answer.status_code}", where=where)
        if not answer.is_success or not isinstance(told, dict):
            raise Refused(f"answers {answer.status_code}", where=where)
        return told
