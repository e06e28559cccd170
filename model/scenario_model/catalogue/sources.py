"""Where a site reads a catalogue: over HTTPS, or from a folder that somebody carried to it."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Protocol

import httpx2
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from scenario_model.errors import InputError, Refused, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PIECE_BYTES = 64 * 1024
_NOT_FOUND = 404
_PARTIAL = 206
_SECONDS = httpx2.Timeout(30.0, connect=10.0)
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*")


class Source(Protocol):
    """Files by their relative POSIX paths."""

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """The file's content from byte `start`, in pieces. Raises FileNotFoundError; TemporaryError to try again."""


class FolderSource:
    """A copy of a store in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """See `Source`."""
        with (self._root / _checked(path)).open("rb") as file:
            file.seek(start)
            while piece := file.read(_PIECE_BYTES):
                yield piece


class HttpsSource:
    """A web server, which the site knows by a CA, and which may know the site by its certificate."""

    def __init__(
        self, url: str, authority: Path | None = None, identity: tuple[Path, Path] | None = None
    ) -> None:
        """`authority`: PEM of the server's CA, else the system's. `identity`: the site's certificate and key, PEM."""
        if not url.startswith("https://"):
            raise InputError("is not an address that starts with https://", where=url)
        try:
            context = ssl.create_default_context(cafile=authority)
            if identity:
                context.load_cert_chain(*identity)
        except OSError as error:
            raise InputError(f"its certificates cannot be used: {error}", where=url) from None
        self.url = url.rstrip("/")
        # No redirects: a catalogue that moves is told to its sites.
        self.client = httpx2.Client(verify=context, timeout=_SECONDS, trust_env=False)

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        """See `Source`. A server that ignores the range is read from the start, and the beginning skipped."""
        where = f"{self.url}/{_checked(path)}"
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={start}-"} if start else {})
        try:
            with self.client.stream("GET", where, headers=headers) as answer:
                if answer.status_code == _NOT_FOUND:
                    raise FileNotFoundError(where)
                if answer.status_code >= 500 or answer.status_code in (408, 429):
                    raise TemporaryError(f"answers {answer.status_code}", where=where)
                if not answer.is_success:
                    raise Refused(f"answers {answer.status_code}", where=where)
                skip = 0 if answer.status_code == _PARTIAL else start
                # As it comes: of what a cut link has carried nothing is lost.
                for piece in answer.iter_raw():
                    rest, skip = piece[skip:], max(0, skip - len(piece))
                    if rest:
                        yield rest
        except (httpx2.HTTPError, ssl.SSLError) as error:
            reason = str(error) or type(error).__name__
            raise TemporaryError(f"cannot be read: {reason}", where=where) from None

    def close(self) -> None:
        """End its connections."""
        self.client.close()


class SourceFetcher(FetcherInterface):
    """Reads TUF's metadata and targets from a source; their addresses are paths."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield from self._source.read(url)
        except FileNotFoundError:
            raise DownloadHTTPError(f"{url} does not exist", _NOT_FOUND) from None


def _checked(path: str) -> str:
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise Refused("is not a path of a catalogue", where=path[:200])
    return path
