"""Replicas of the web server over one bucket: what one lets in, takes or sees, the others do."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.catalogue.sources import HttpsSource
from scenario_model.catalogue.visitor import Visitor
from scenario_model.exchange.inbox import Inbox, packed
from scenario_model.release.names import ReleaseId
from scenario_model.release.stores import open_store
from tests.model.catalogue.web_process import serving
from tests.model.exchange.counted import counted
from tests.model.exchange.test_inbox import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.model.catalogue.web_process import Web
    from tests.model.catalogue.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def uri(world: World, bucket_uri: str, put: Callable[[str, bytes], None], tmp_path: Path) -> str:
    """The world's store in a bucket, with one file that is larger than a piece."""
    store = open_store(bucket_uri, tmp_path / "cache")
    for path in sorted(world.store.rglob("*")):
        key = path.relative_to(world.store).as_posix()
        if path.is_file() and not key.startswith("."):
            put(key, path.read_bytes())
    assert store.fetch(world.releases[1])
    put(f"{ReleaseId.parse(world.releases[1]).key}/large.bin", bytes(range(256)) * 8192)
    return bucket_uri


@pytest.fixture
def replicas(world: World, uri: str) -> Iterator[tuple[Web, Web]]:
    with serving(world, uri) as one, serving(world, uri) as other:
        yield one, other


def test_a_site_that_one_replica_enrolled_is_let_in_by_the_others(
    replicas: tuple[Web, Web], tmp_path: Path
) -> None:
    one, other = replicas
    with other.client() as client:
        assert client.get("/readyz").status_code == 200
    one.site("here").close()
    identity = (one.folder / "here.pem", one.folder / "here.key")
    source = HttpsSource(other.url, other.folder / "tls" / "ca.pem", identity)
    visitor = Visitor(tmp_path / "seen", source, (one.world.folder / "pinned.json").read_bytes())
    visitor.visit()
    assigned = visitor.assignment("here", "first")
    assert assigned
    assert visitor.index(assigned).number == 2
    source.close()


def test_a_large_file_comes_in_pieces_and_by_ranges(replicas: tuple[Web, Web]) -> None:
    path = f"/{ReleaseId.parse(replicas[0].world.releases[1]).key}/large.bin"
    with replicas[0].site("here") as client:
        whole = client.get(path)
        rest = client.get(path, headers={"range": "bytes=1000000-", "if-range": whole.headers["etag"]})
        stale = client.get(path, headers={"range": "bytes=1000000-", "if-range": '"another"'})
    assert whole.content == bytes(range(256)) * 8192
    assert (rest.status_code, rest.content) == (206, whole.content[1_000_000:])
    assert (stale.status_code, stale.content) == (200, whole.content)


def test_reports_to_either_replica_count_once(replicas: tuple[Web, Web]) -> None:
    one, other = replicas
    one.site("here").close()
    for web in replicas:
        with web.client("here") as client:
            answer = client.post("/v1/reports", content=packed(reports(1, 2)))
            assert answer.json() == {"accepted": 2}
    found = [(each.site, each.number) for each in counted(Inbox(other.store))]
    assert found == [("here", 1), ("here", 2)]


def test_a_revoked_site_is_out_of_every_replica_within_seconds(replicas: tuple[Web, Web]) -> None:
    replicas[0].site("here").close()
    clients = [web.client("here") for web in replicas]
    path = "/catalogue/metadata/timestamp.json"
    assert [client.get(path).status_code for client in clients] == [200, 200]
    replicas[0].enrolments.revoke("here", time.time())
    deadline = time.monotonic() + 12
    while [client.get(path).status_code for client in clients] != [403, 403]:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    for client in clients:
        client.close()


def test_of_keepers_that_change_the_timestamp_at_once_exactly_one_wins(uri: str, tmp_path: Path) -> None:
    stores = [open_store(uri, tmp_path / "cache") for _ in range(8)]
    key, now = "catalogue/metadata/timestamp.json", b""
    for round_ in range(5):
        now = stores[0].read(key) or b""

        def swap(number: int, round_: int = round_, now: bytes = now) -> bool:
            return stores[number].swap(key, b"%d %d" % (round_, number), now)

        with ThreadPoolExecutor(len(stores)) as pool:
            won: list[Any] = [*pool.map(swap, range(len(stores)))]
        assert won.count(True) == 1
        assert stores[0].read(key) == b"%d %d" % (round_, won.index(True))
    assert not stores[0].swap(key, b"x", b"never was")
    assert not stores[0].swap("catalogue/metadata/none.json", b"x", b"never was")
