"""A release on its way into a catalogue, which may not be there yet."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from scenario_model.catalogue.sources import FolderSource
from scenario_model.catalogue.visitor import Visitor
from scenario_model.errors import InputError, Refused
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.rollout.command import command
from scenario_model.rollout.publishing import publish
from scenario_model.rollout.settings import CatalogueKeys, PublishSettings
from scenario_model.rollout.step import HALTED, ROLLOUT
from scenario_model.signing import keys
from tests.model.release.conftest import key_pair, make_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

__all__ = ["key_pair", "make_release"]
NOW = {"at": "2026-11-29T00:00:00+00:00", "by": "somebody"}


@pytest.fixture
def wanted(
    tmp_path: Path, key_pair: KeyPair, make_release: Callable[..., tuple[Path, str]]
) -> PublishSettings:
    """What to publish, with new keys, where nothing is yet."""
    named = {name: tmp_path / f"{name}.pem" for name in ("root-1", "root-2", "root-3", "releases", "online")}
    for path in named.values():
        keys.create_pair(path, path.with_suffix(".pub"))
    folder, release = make_release()
    return PublishSettings(
        store=str(tmp_path / "store"),
        keys=CatalogueKeys(
            root=tuple(str(named[f"root-{number}"]) for number in (1, 2, 3)),
            releases=str(named["releases"]),
            online=str(named["online"]),
        ),
        release=release,
        source=folder,
        verification_key=key_pair.public,
    )


def test_a_release_goes_from_a_folder_to_the_head_of_a_rollout_and_again_changes_nothing(
    wanted: PublishSettings, tmp_path: Path
) -> None:
    done = publish(wanted)
    assert done.changed
    store = FolderStore(tmp_path / "store")
    online = keys.load_public(tmp_path / "online.pub")
    name = wanted.release.partition("@")[0]
    assert [each.release for each in channel.history(store, name, ROLLOUT, online)] == [wanted.release]
    visitor = Visitor(tmp_path / "seen", FolderSource(store.root), done.root.encode())
    visitor.visit()
    assert visitor.version == 1
    assert not publish(wanted).changed


def test_an_archive_does_as_well_and_the_command_says_what_sites_pin(
    wanted: PublishSettings, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "release.tar", "w") as archive:
        archive.add(wanted.source, ".")
    asked = wanted.model_dump(mode="json") | {"source": str(tmp_path / "release.tar")}
    (tmp_path / "publish.json").write_text(json.dumps(asked))
    ran = CliRunner().invoke(command, ["publish", "--config", str(tmp_path / "publish.json"), "--json"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.output)
    assert told["changed"] is True
    assert json.loads(told["root"])["signed"]["_type"] == "root"


def test_another_release_follows_the_first(
    wanted: PublishSettings, make_release: Callable[..., tuple[Path, str]], tmp_path: Path
) -> None:
    publish(wanted)
    folder, release = make_release(note="next")
    assert publish(wanted.model_copy(update={"source": folder, "release": release})).changed
    online = keys.load_public(tmp_path / "online.pub")
    name = release.partition("@")[0]
    assert channel.history(FolderStore(tmp_path / "store"), name, ROLLOUT, online)[-1].release == release


def test_what_does_not_verify_changes_nothing_but_the_empty_catalogue(wanted: PublishSettings) -> None:
    with pytest.raises(Refused, match=r"is to be|but .* was expected"):
        publish(wanted.model_copy(update={"release": f"other@sha256:{'0' * 64}"}))
    broken = wanted.source.parent / "rubbish.tar"
    broken.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"rubbish\.tar: cannot be read as a release"):
        publish(wanted.model_copy(update={"source": broken}))
    assert FolderStore(wanted.source.parent / "store").children("channels") == []


def test_a_catalogue_of_other_keys_is_left_alone(wanted: PublishSettings, tmp_path: Path) -> None:
    publish(wanted)
    keys.create_pair(tmp_path / "thief.pem", tmp_path / "thief.pub")
    stolen = wanted.keys.model_copy(update={"online": str(tmp_path / "thief.pem")})
    with pytest.raises(Refused, match="belongs to other keys; give its keys, or use a store of its own"):
        publish(wanted.model_copy(update={"keys": stolen}))


def test_what_was_halted_is_not_published_again(
    wanted: PublishSettings, key_pair: KeyPair, tmp_path: Path
) -> None:
    publish(wanted)
    online, trusted = keys.load_private(tmp_path / "online.pem"), keys.load_public(key_pair.public)
    store = FolderStore(tmp_path / "store")
    channel.promote(store, wanted.release, HALTED, online, **NOW, release_key=trusted)
    with pytest.raises(Refused, match="was halted by the rollout; `scenario-model rollout status` says why"):
        publish(wanted)
