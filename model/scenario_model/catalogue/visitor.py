"""A site's view of a catalogue: what is new, whether it may be believed, and what the site shall serve.

Checked by TUF's client (specification 1.0.34, section 5): signatures and thresholds, versions that never go back,
expiry, and that all parts belong together. It remembers in a folder what it has seen.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Snapshot, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater, UpdaterConfig

from scenario_model.atomic_io import write_json
from scenario_model.catalogue.documents import (
    Assignment,
    ReleaseIndex,
    release_target,
    ring_target,
    site_target,
)
from scenario_model.catalogue.shelf import METADATA, TARGETS
from scenario_model.catalogue.sources import SourceFetcher
from scenario_model.errors import InputError, Refused, ScenarioModelError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scenario_model.catalogue.sources import Source

_DOCUMENT_BYTES = 4 * 2**20
_TIMESTAMP_BYTES = 64 * 1024
_SEEN = "seen.json"
_DAY = 86_400
LONGEST = timedelta(days=2)
"""A web server's timestamp lives for a day, and is signed again at half of it."""


class Visitor:
    """One site's visits to one catalogue."""

    def __init__(
        self, folder: Path, source: Source, root: bytes, *, at_least: int = 0, longest: timedelta = LONGEST
    ) -> None:
        """`folder`: what was seen so far. `root`: the first root, pinned when the site was enrolled. `at_least`: the
        snapshot's version at that time, so that a first visit cannot be shown an older catalogue. `longest`: a
        timestamp that lives longer is not believed, because it could freeze the site for as long."""
        self._longest = longest
        self._folder, self._root, self._at_least = folder, root, at_least
        self.source = source
        self._updater: Updater | None = None

    def visit(self) -> None:
        """Read what is new: two small requests if nothing is.

        Raises Refused, naming the fault, if the catalogue cannot be believed; TemporaryError if it cannot be read.
        """
        (self._folder / "targets").mkdir(parents=True, exist_ok=True)
        with _named_faults():
            updater = Updater(
                str(self._folder),
                f"{METADATA}/",
                str(self._folder / "targets"),
                f"{TARGETS}/",
                fetcher=_Fetcher(self.source, self._check_life),
                config=UpdaterConfig(max_delegations=8, targets_max_length=_DOCUMENT_BYTES),
                bootstrap=self._root,
            )
            updater.refresh()
        # One that was seen before, while the site was allowed to believe it.
        self._check_life(self.expires)
        if self.version < self._at_least:
            raise Refused(
                f"rollback: it is version {self.version}, and was {self._at_least} when the site enrolled"
            )
        self._updater = updater

    @property
    def version(self) -> int:
        """The snapshot's version that was last believed; 0 before the first visit."""
        file = self._folder / "snapshot.json"
        return Metadata[Snapshot].from_file(str(file)).signed.version if file.is_file() else 0

    @property
    def expires(self) -> datetime:
        """Until when what was last seen is believed. Raises InputError before the first visit."""
        file = self._folder / "timestamp.json"
        if not file.is_file():
            raise InputError("the catalogue was never visited")
        return Metadata[Timestamp].from_file(str(file)).signed.expires

    def assignment(self, site: str, ring: str) -> Assignment | None:
        """What this site shall serve: its own assignment, else its ring's; None if neither has one.

        Raises Refused if the floor is lower than one that the site has seen.
        """
        for name, path in ((site, site_target(site)), (ring, ring_target(ring))):
            content = self._document(path)
            if content is not None:
                return self._not_lower(Assignment.decoded(content, name))
        return None

    def index(self, assignment: Assignment) -> ReleaseIndex:
        """The files of the assigned release. Raises Refused if it is not listed, or is below the floor."""
        content = self._document(release_target(assignment.release))
        if content is None:
            raise Refused(f"{assignment.release} is not listed by the release key: unsigned, or withdrawn")
        index = ReleaseIndex.decoded(content)
        if index.release != assignment.release:
            raise Refused(f"describes {index.release}", where=assignment.release)
        if index.number < assignment.floor:
            raise Refused(
                f"{index.release} is number {index.number}, below the floor {assignment.floor}: nothing older is taken"
            )
        return index

    def _not_lower(self, assignment: Assignment) -> Assignment:
        """The highest floor that was seen counts: who can only assign cannot lower it again."""
        seen = self._folder / _SEEN
        floors: dict[str, int] = json.loads(seen.read_text(encoding="utf-8")) if seen.is_file() else {}
        name = assignment.release.partition("@")[0]
        if assignment.floor < floors.get(name, 0):
            raise Refused(
                f"rollback: the floor of {name} is {assignment.floor}, and was {floors[name]}",
                where=assignment.name,
            )
        if assignment.floor > floors.get(name, 0):
            write_json(seen, floors | {name: assignment.floor})
        return assignment

    def _check_life(self, expires: datetime) -> None:
        left = expires - datetime.now(UTC)
        if left > self._longest:
            raise Refused(
                f"the catalogue is frozen: its timestamp lives for {left.days} days, "
                f"and more than {self._longest.total_seconds() / _DAY:g} are not believed here"
            )

    def _document(self, path: str) -> bytes | None:
        if self._updater is None:
            raise InputError("the catalogue was not visited")
        with _named_faults():
            entry = self._updater.get_targetinfo(path)
            if entry is None:
                return None
            if entry.length > _DOCUMENT_BYTES:
                raise Refused(f"is larger than {_DOCUMENT_BYTES} bytes", where=path)
            # Again each time: the copy on the disk may have been changed.
            stored = self._updater.find_cached_target(entry) or self._updater.download_target(entry)
        with open(stored, "rb") as file:  # noqa: PTH123  (a path of TUF's client)
            return file.read(_DOCUMENT_BYTES)


class _Fetcher(SourceFetcher):
    """Shows a timestamp's life to `check` before anything is kept of it."""

    def __init__(self, source: Source, check: Callable[[datetime], None]) -> None:
        super().__init__(source)
        self._check = check

    def _fetch(self, url: str) -> Iterator[bytes]:
        if not url.endswith("/timestamp.json"):
            yield from super()._fetch(url)
            return
        content = b""
        for piece in super()._fetch(url):
            content += piece
            if len(content) > _TIMESTAMP_BYTES:
                break
        # What says nothing of a life, TUF's client refuses.
        with suppress(DeserializationError, exceptions.RepositoryError, ValueError, AttributeError):
            self._check(Metadata[Timestamp].from_bytes(content).signed.expires)
        yield content


_FAULTS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.ExpiredMetadataError, "expired"),
    (exceptions.BadVersionNumberError, "rollback or mix of versions"),
    (exceptions.UnsignedMetadataError, "not signed by enough of the right keys"),
    (exceptions.LengthOrHashMismatchError, "length or digest differs from what was signed"),
    (exceptions.DownloadLengthMismatchError, "longer than what was signed, or than any may be"),
    (exceptions.RepositoryError, "not valid"),
)


@contextmanager
def _named_faults() -> Iterator[None]:
    try:
        yield
    except ScenarioModelError:
        raise
    except (exceptions.RepositoryError, exceptions.DownloadLengthMismatchError) as error:
        name = next(name for kind, name in _FAULTS if isinstance(error, kind))
        raise Refused(f"the catalogue is {name}: {error}", remedy="nothing is taken from it") from None
    except exceptions.DownloadError as error:
        cause = error.__cause__
        if isinstance(cause, ScenarioModelError):
            raise cause from None
        raise TemporaryError(f"the catalogue cannot be read: {error}") from None
