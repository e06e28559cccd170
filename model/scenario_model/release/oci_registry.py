"""A repository in an OCI registry: blobs and manifests by their digests (distribution specification 1.1).

Every answer has a limit of size, every blob is hashed while it passes, and all is over TLS, except to this machine.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2

from scenario_model.errors import InputError, Refused, TemporaryError
from scenario_model.release.oci_access import Access, limited
from scenario_model.release.oci_reference import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from scenario_model.release.oci_reference import Reference

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
MAX_MANIFEST_BYTES = 4 * 2**20
_MAX_ERROR_BYTES = 64 * 1024
_SECONDS = httpx2.Timeout(30.0, connect=10.0)
# A registry that keeps blobs elsewhere answers once it has moved all of one.
_UPLOAD_SECONDS = httpx2.Timeout(30.0, connect=10.0, read=600.0)
_REDIRECTS = 3
_ATTEMPTS = 5
_LONGEST_PAUSE = 30.0
_NOT_FOUND, _PARTIAL, _UNAUTHORIZED, _FORBIDDEN, _NOT_SO_LONG = 404, 206, 401, 403, 416
_PASSING = frozenset({408, 425, 429})
T = TypeVar("T")


class Registry:
    """One repository. Its methods raise Refused, InputError if access is denied, TemporaryError after five attempts."""

    def __init__(self, where: Reference, authority: Path | None = None, *, plain_http: bool = False) -> None:
        """`authority`: PEM of the registry's CA, else the system's. `plain_http`: without TLS, on loopback only."""
        if plain_http and not where.is_loopback:
            raise InputError(
                "plain HTTP is for a registry on this machine", where=where.host, remedy="use TLS"
            )
        try:
            context = ssl.create_default_context(cafile=authority)
        except OSError as error:
            raise InputError(f"cannot be used as a CA: {error}", where=str(authority)) from None
        self._plain = plain_http
        self._base = httpx2.URL(f"{'http' if plain_http else 'https'}://{where.host}")
        self._repository, self._name = where.repository, f"{where.host}/{where.repository}"
        # The environment's proxy is for what is elsewhere.
        self._client = httpx2.Client(verify=context, timeout=_SECONDS, trust_env=not where.is_loopback)
        self._access = Access(self._client, where.host, self._check)

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def manifest(self, reference: str) -> bytes | None:
        """The manifest with this tag or digest, None if there is none."""

        def ask() -> bytes | None:
            headers = {"accept": f"{MANIFEST}, {INDEX}"}
            with self._asked("GET", f"manifests/{reference}", headers) as answer:
                if answer.status_code == _NOT_FOUND:
                    return None
                self._require_success(answer)
                return limited(answer, MAX_MANIFEST_BYTES)

        content = _attempted(ask)
        if content is not None and reference.startswith("sha256:") and digest_of(content) != reference:
            raise Refused(
                "answers with another manifest than was asked for", where=f"{self._name}@{reference}"
            )
        return content

    def put_manifest(self, reference: str, content: bytes, media_type: str = MANIFEST) -> httpx2.Headers:
        """Write a manifest, whose blobs must be there, under a tag or its digest; return the answer's headers."""

        def ask() -> httpx2.Headers:
            headers = {"content-type": media_type}
            with self._asked("PUT", f"manifests/{reference}", headers, lambda: content) as answer:
                self._require_success(answer)
                return answer.headers

        return _attempted(ask)

    def has_blob(self, digest: str) -> bool:
        """Whether a blob is there."""

        def ask() -> bool:
            with self._asked("HEAD", f"blobs/{digest}") as answer:
                if answer.status_code != _NOT_FOUND:
                    self._require_success(answer)
                return answer.is_success

        return _attempted(ask)

    def put_blob(self, digest: str, size: int, content: Callable[[], bytes | Iterable[bytes]]) -> bool:
        """Upload a blob; False if it was there. `content` is called for each attempt."""

        def ask() -> bool:
            # Again after a failure: the upload may have been completed.
            if self.has_blob(digest):
                return False
            with self._asked("POST", "blobs/uploads/", {"content-length": "0"}) as answer:
                self._require_success(answer)
                there = answer.url.join(answer.headers.get("location", ""))
            headers = {"content-type": "application/octet-stream", "content-length": str(size)}
            with self._asked("PUT", there.copy_merge_params({"digest": digest}), headers, content) as answer:
                self._require_success(answer)
            return True

        return _attempted(ask)

    def blob(self, digest: str, start: int = 0) -> Iterator[bytes]:
        """A blob's content from byte `start`, in pieces, not yet compared with the digest; one attempt."""
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={start}-"} if start else {})
        with self._asked("GET", f"blobs/{digest}", headers) as answer:
            if answer.status_code == _NOT_FOUND:
                raise Refused("is listed, but the registry does not have it", where=f"{self._name}@{digest}")
            if answer.status_code == _NOT_SO_LONG:
                raise Refused("is shorter in the registry than it is listed", where=f"{self._name}@{digest}")
            self._require_success(answer)
            # A server that ignores the range is read from the start.
            skip = 0 if answer.status_code == _PARTIAL else start
            # As they arrive: pieces of one size would be filled first, and lost half full when the link breaks.
            for piece in answer.iter_bytes():
                rest, skip = piece[skip:], max(0, skip - len(piece))
                if rest:
                    yield rest

    def small_blob(self, digest: str, limit: int) -> bytes:
        """A whole blob of at most `limit` bytes, compared with its digest."""

        def ask() -> bytes:
            content = b""
            for piece in self.blob(digest):
                content += piece
                if len(content) > limit:
                    raise Refused(f"is longer than {limit} bytes", where=f"{self._name}@{digest}")
            return content

        content = _attempted(ask)
        if digest_of(content) != digest:
            raise Refused("its content differs from its digest", where=f"{self._name}@{digest}")
        return content

    @contextmanager
    def _asked(
        self,
        method: str,
        where: str | httpx2.URL,
        headers: dict[str, str] | None = None,
        content: Callable[[], bytes | Iterable[bytes]] | None = None,
    ) -> Iterator[httpx2.Response]:
        """The answer to a request, after a challenge and redirects, if any. A failing link is a TemporaryError."""
        url = self._base.join(f"/v2/{self._repository}/{where}") if isinstance(where, str) else where
        self._check(url)

        def send() -> httpx2.Response:
            # Storage that a registry points at is not told the registry's credentials.
            access = self._access.headers if url.origin == self._base.origin else {}
            sent = {**(headers or {}), **access}
            body, patience = (content(), _UPLOAD_SECONDS) if content else (None, _SECONDS)
            request = self._client.build_request(method, url, headers=sent, content=body, timeout=patience)
            return self._client.send(request, stream=True, auth=None)

        answer = None
        try:
            answer = send()
            if answer.status_code == _UNAUTHORIZED and url.origin == self._base.origin:
                limited(answer, _MAX_ERROR_BYTES)
                self._access.answer(answer.headers.get("www-authenticate", ""))
                answer = send()
            for _ in range(_REDIRECTS):
                if answer.next_request is None:
                    break
                self._check(answer.next_request.url)
                answer.close()
                answer = self._client.send(answer.next_request, stream=True, auth=None)
            yield answer
        except (httpx2.HTTPError, httpx2.StreamError, ssl.SSLError) as error:
            if _is_distrust(error):
                remedy = "name the registry's CA with --authority"
                raise InputError(
                    f"its certificate is not trusted: {error}", where=self._name, remedy=remedy
                ) from None
            raise TemporaryError(
                f"cannot be reached: {error or type(error).__name__}", where=self._name
            ) from None
        except httpx2.InvalidURL as error:
            raise Refused(f"answers with an address that is none: {error}", where=self._name) from None
        finally:
            if answer is not None:
                answer.close()

    def _check(self, url: httpx2.URL) -> None:
        if url.scheme != "https" and not (self._plain and is_loopback(url.host)):
            raise Refused(f"points at an address without TLS: {url.host}", where=self._name)

    def _require_success(self, answer: httpx2.Response) -> None:
        if answer.is_success:
            return
        status, told = answer.status_code, _told(limited(answer, _MAX_ERROR_BYTES))
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            raise self._access.denied(f"denies access: {told}" if told else "denies access")
        kind = TemporaryError if status >= 500 or status in _PASSING else Refused
        raise kind(f"answers {status}{': ' if told else ''}{told}", where=self._name)


def digest_of(content: bytes) -> str:
    """The digest `sha256:<64 hex>` of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _attempted(ask: Callable[[], T]) -> T:
    for attempt in range(1, _ATTEMPTS):
        try:
            return ask()
        except TemporaryError:
            time.sleep(min(_LONGEST_PAUSE, 2.0 ** (attempt - 1)))
    return ask()


def _is_distrust(error: BaseException | None) -> bool:
    """Whether a certificate was refused, which no further attempt changes."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _told(content: bytes) -> str:
    """The registry's words: `CODE message` of its first error, one line of bounded length."""
    try:
        first: Any = json.loads(content)["errors"][0]
        text = f"{first.get('code', '')} {first.get('message', '')}".strip()
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return ""
    return "".join(each for each in text if each.isprintable())[:200]
