"""The catalogue's web server, real, over TLS on loopback: who gets in, what they get, and what is kept."""

from __future__ import annotations

import contextlib
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from scenario_model.catalogue import identities
from scenario_model.catalogue.download import Download
from scenario_model.catalogue.enrolment import Invitation
from scenario_model.catalogue.sources import HttpsSource
from scenario_model.catalogue.visitor import Visitor
from scenario_model.errors import InputError, Refused
from scenario_model.exchange.inbox import Inbox, packed
from scenario_model.release.store import FolderStore
from tests.model.catalogue.web_process import serving
from tests.model.exchange.counted import counted
from tests.model.exchange.test_inbox import reports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.model.catalogue.web_process import Web
    from tests.model.catalogue.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def web(world: World) -> Iterator[Web]:
    with serving(world, str(world.store)) as made:
        yield made


def test_an_enrolled_site_visits_and_downloads_over_tls_with_its_certificate(
    web: Web, tmp_path: Path
) -> None:
    web.site("here").close()
    identity = (web.folder / "here.pem", web.folder / "here.key")
    with contextlib.closing(HttpsSource(web.url, web.folder / "tls" / "ca.pem", identity)) as source:
        visitor = Visitor(tmp_path / "seen", source, (web.world.folder / "pinned.json").read_bytes())
        visitor.visit()
        assigned = visitor.assignment("here", "first")
        assert assigned
        index = visitor.index(assigned)
        assert Download(source, tmp_path / "arriving").bring(index)


def test_ranges_continue_where_they_stopped(web: Web) -> None:
    path = f"/releases/assistant/{web.world.releases[1].partition('@')[2].replace(':', '-')}/tokenizer.json"
    with web.site("here") as client:
        whole = client.get(path)
        rest = client.get(path, headers={"range": "bytes=5-"})
        fresh = client.get(path, headers={"range": "bytes=5-", "if-range": '"another"'})
    assert (rest.status_code, rest.content) == (206, whole.content[5:])
    assert (fresh.status_code, fresh.content) == (200, whole.content)
    assert "immutable" in whole.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/keys/online.pem",
        "/sites/here/000001.invited.json",
        "/reports/0000000/x.gz",
        "/channels/assistant/stable/00000001.json",
        "/releases/../keys/online.pem",
        "/releases/%2e%2e/keys/online.pem",
        "/catalogue/metadata",
        "/.lock",
        "/",
    ],
)
def test_nothing_but_the_catalogue_and_releases_is_handed_out(web: Web, path: str) -> None:
    with web.site("here") as client:
        assert client.get(path).status_code == 404


def test_without_a_certificate_nothing_is_handed_out(web: Web) -> None:
    with web.client() as client:
        for path in ("/catalogue/metadata/timestamp.json", "/releases/assistant/x"):
            assert client.get(path).status_code == 403
        assert client.post("/v1/reports", content=packed(reports(1))).status_code == 403
        assert client.post("/v1/certificate", json={"request": ""}).status_code == 403


def test_a_token_is_good_once_for_its_site_and_for_a_while(web: Web) -> None:
    secret = web.enrolments.invite("here", "first", time.time() + 60)
    assert web.enrol("there", secret).status_code == 403
    assert web.enrol("here", secret, asked_for="there").status_code == 403
    assert web.enrol("here", secret + "x").status_code == 403
    assert web.enrol("here", secret).json()["ring"] == "first"
    assert web.enrol("here", secret).status_code == 403
    late = web.enrolments.invite("late", "first", time.time() - 1)
    assert "is not valid" in web.enrol("late", late).json()["error"]
    with pytest.raises(Refused, match="has a token or is enrolled already; revoke it first"):
        web.enrolments.invite("here", "first", time.time() + 60)


def test_a_site_whose_answer_was_lost_on_its_way_asks_again_with_the_same_key(web: Web) -> None:
    secret = web.enrolments.invite("here", "first", time.time() + 60)
    key = web.key("here")
    asked = {"site": "here", "secret": secret, "request": identities.request("here", key).decode()}
    with web.client() as client:
        answers = [client.post("/v1/enrol", json=asked) for _ in range(2)]
    assert [each.json().get("ring") for each in answers] == ["first", "first"]
    assert web.enrol("here", secret).status_code == 403, "with another key"
    assert web.enrolments.revoke("here", time.time())
    with web.client() as client:
        assert client.post("/v1/enrol", json=asked).status_code == 403


def test_of_many_who_use_one_token_at_once_one_is_let_in(web: Web) -> None:
    secret = web.enrolments.invite("here", "first", time.time() + 60)
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: web.enrol("here", secret).status_code, range(8))]
    assert sorted(answers) == [200, *[403] * 7]


def test_a_revoked_site_is_out_within_a_second_and_may_be_invited_again(web: Web) -> None:
    with web.site("here") as client:
        path = "/catalogue/metadata/timestamp.json"
        assert client.get(path).status_code == 200
        assert web.enrolments.revoke("here", time.time())
        time.sleep(1.1)
        refused = client.get(path)
        assert (refused.status_code, refused.json()["error"]) == (403, "here is not enrolled, or was revoked")
        assert client.post("/v1/certificate", json={"request": "x"}).status_code == 403
    with web.site("here") as client:
        assert client.get(path).status_code == 200


def test_a_certificate_is_renewed_for_the_same_site_alone(web: Web) -> None:
    with web.site("here") as client:
        own = identities.request("here", web.key("renewed")).decode()
        assert client.post("/v1/certificate", json={"request": own}).status_code == 200
        others = identities.request("there", web.key("renewed")).decode()
        refused = client.post("/v1/certificate", json={"request": others})
        assert (refused.status_code, refused.json()["error"]) == (403, "is a request of another site")
    pem = (web.folder / "here.pem").read_bytes()
    assert not identities.due(pem)
    assert identities.due(pem, datetime.now(UTC) + timedelta(days=6))


def test_a_certificate_of_another_authority_gets_no_connection(web: Web) -> None:
    key = web.key("stranger")
    issuer = identities.authority(key)
    pem = identities.certificate(identities.request("stranger", key), "stranger", key, issuer)
    (web.folder / "stranger.pem").write_bytes(pem)
    with web.client("stranger") as client, pytest.raises(httpx.TransportError):
        client.get("/healthz").raise_for_status()


def test_reports_are_kept_before_they_are_acknowledged_and_count_once(web: Web) -> None:
    with web.site("here") as client, web.site("there") as other:
        for _ in range(2):
            answer = client.post("/v1/reports", content=packed(reports(1, 2, 3)))
            assert answer.json() == {"accepted": 3}
        assert other.post("/v1/reports", content=packed(reports(1))).json() == {"accepted": 1}
        found = [(each.site, each.number) for each in counted(Inbox(FolderStore(web.world.store)))]
        assert sorted(found) == [("here", 1), ("here", 2), ("here", 3), ("there", 1)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'[[1,{"kind":"prompt","text":"What is the capital of France?"}]]',
        b"[" + b" " * 600_000 + b"]",
    ],
    ids=["empty", "object", "text", "large"],
)
def test_what_breaks_the_contract_is_refused_and_none_of_it_is_kept(web: Web, content: bytes) -> None:
    with web.site("here") as client:
        refused = client.post("/v1/reports", content=content)
        assert refused.status_code == 403
        assert "France" not in refused.text
        assert Inbox(FolderStore(web.world.store)).hours() == []


def test_a_site_that_asks_too_much_is_told_when_to_ask_again(web: Web) -> None:
    with web.site("here") as client, web.site("there") as other:
        answers = [client.get("/catalogue/metadata/9.root.json") for _ in range(400)]
        refused = [each for each in answers if each.status_code == 429]
        assert {each.status_code for each in answers} == {404, 429}
        assert refused[0].headers["retry-after"] == "1"
        assert other.get("/catalogue/metadata/timestamp.json").status_code == 200


def test_readiness_says_how_long_the_timestamp_is_good(web: Web) -> None:
    with web.client() as client:
        assert re.fullmatch(r"ready; its timestamp is good for 2[34]\.\d h\n", client.get("/readyz").text)


def test_a_range_beyond_the_end_is_told_the_size(web: Web) -> None:
    path = f"/releases/assistant/{web.world.releases[1].partition('@')[2].replace(':', '-')}/tokenizer.json"
    with web.site("here") as client:
        size = len(client.get(path).content)
        beyond = client.get(path, headers={"range": f"bytes={size}-"})
        last = client.get(path, headers={"range": "bytes=-4"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert (last.status_code, last.headers["content-range"]) == (206, f"bytes {size - 4}-{size - 1}/{size}")


def test_a_token_says_whom_to_believe() -> None:
    told = Invitation("https://x", "here", "first", "{}", "PEM", 7, "secret")
    assert Invitation.read(told.token() + "\n") == told
    bad: Any
    for bad in ("", "site_", "site_e30=", told.token()[:-9], json.dumps({})):
        with pytest.raises(InputError, match="is not a site's token"):
            Invitation.read(bad)
