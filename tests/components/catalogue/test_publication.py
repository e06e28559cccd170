"""A release in a catalogue, and sites that are invited to it, as resources: their providers, on a folder."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from components.catalogue import invitation, publication
from components.catalogue.invitation import InvitationProvider
from components.catalogue.publication import PublicationProvider
from components.errors import CloudError
from scenario_model.catalogue.enrolment import Enrolments, Invitation
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.rollout.step import ROLLOUT
from scenario_model.signing import keys
from tests.model.release.conftest import key_pair, make_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

pytestmark = pytest.mark.slow
__all__ = ["key_pair", "make_release"]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider settles in a process of its own: it would take the tracebacks from this one."""
    for module in (invitation, publication):
        monkeypatch.setattr(module, "settle_in", lambda: None)


@pytest.fixture
def wanted(
    tmp_path: Path, key_pair: KeyPair, make_release: Callable[..., tuple[Path, str]]
) -> dict[str, Any]:
    pems = {}
    for name in ("root-1", "root-2", "root-3", "releases", "online"):
        keys.create_pair(tmp_path / f"{name}.pem", tmp_path / f"{name}.pub")
        pems[name] = (tmp_path / f"{name}.pem").read_text()
    folder, release = make_release()
    return {
        "store": str(tmp_path / "store"),
        "keys": {
            # One of them stays where its keeper has it.
            "root": [pems["root-1"], pems["root-2"], str(tmp_path / "root-3.pem")],
            "releases": pems["releases"],
            "online": pems["online"],
        },
        "threshold": 2.0,
        "release": release,
        "source": str(folder),
        "verification_key": key_pair.public.read_text(),
    }


def test_a_publication_creates_the_catalogue_and_another_release_goes_into_the_same(
    wanted: dict[str, Any], make_release: Callable[..., tuple[Path, str]], tmp_path: Path
) -> None:
    provider = PublicationProvider()
    made = provider.create(wanted).outs
    assert made
    assert json.loads(made["root"])["signed"]["version"] == 1
    assert made["published"] == wanted["release"]
    folder, release = make_release(note="next")
    news = {**wanted, "release": release, "source": str(folder)}
    assert provider.diff("publication", made, news).replaces == []
    again = provider.update("publication", made, news).outs
    assert again
    assert again["root"] == made["root"]
    history = channel.history(
        FolderStore(tmp_path / "store"),
        release.partition("@")[0],
        ROLLOUT,
        keys.load_public(tmp_path / "online.pub"),
    )
    assert [entry.release for entry in history] == [wanted["release"], release]


def test_where_a_release_lies_is_no_change_and_another_store_is_another_catalogue(
    wanted: dict[str, Any],
) -> None:
    provider = PublicationProvider()
    assert not provider.diff("publication", wanted, {**wanted, "source": "/elsewhere"}).changes
    assert provider.diff("publication", wanted, {**wanted, "store": "s3://other"}).replaces == ["store"]


def test_a_release_that_is_not_what_it_should_be_stops_the_update_in_one_line(
    wanted: dict[str, Any],
) -> None:
    with pytest.raises(CloudError, match=r"but .* was expected"):
        PublicationProvider().create({**wanted, "release": f"other@sha256:{'0' * 64}"})


def test_an_invited_site_joins_once_and_is_let_in_no_more_when_it_is_removed(
    wanted: dict[str, Any], key_pair: KeyPair, tmp_path: Path
) -> None:
    PublicationProvider().create(wanted)
    asked = {
        "store": wanted["store"],
        "site": "plant-7",
        "ring": "first",
        "url": "https://catalogue.example:30944",
        "authority": key_pair.public.read_text(),
        "invite_key": "",
    }
    provider, enrolments = InvitationProvider(), Enrolments(FolderStore(tmp_path / "store"))
    lost = provider.create(asked).outs
    made = provider.create(asked).outs
    assert lost
    assert made
    old, token = Invitation.read(lost["token"]), Invitation.read(made["token"])
    with pytest.raises(Exception, match="is not valid"):
        enrolments.enrol("plant-7", old.secret, time.time())
    assert enrolments.enrol("plant-7", token.secret, time.time()) == "first"
    moved = provider.diff("plant-7", made, {**asked, "ring": "all"})
    assert moved.replaces == ["ring"]
    assert moved.delete_before_replace
    provider.delete("plant-7", made)
    assert enrolments.rings() == {}
