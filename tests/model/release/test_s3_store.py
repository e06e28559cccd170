"""A store in a bucket: nothing appears before it is whole, and nothing changed is taken."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from scenario_model.cloud.bucket import Bucket
from scenario_model.errors import InputError, Refused, TemporaryError
from scenario_model.release.command import command
from scenario_model.release.s3_store import S3Store
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from tests.model.conftest import NAME
from tests.model.release.conftest import key_of
from tests.model.release.test_sign import make_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

pytestmark = pytest.mark.slow


def test_an_object_that_was_changed_is_refused_by_its_name_until_it_is_mended(
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    key_pair: KeyPair,
    put: Callable[[str, bytes], None],
    s3: Any,
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path / "cache")
    store.upload(name, directory)
    weights = f"{key_of(name)}/model.safetensors"
    put(weights, (directory / "model.safetensors").read_bytes()[:-1] + b"!")
    with pytest.raises(Refused, match=rf"{weights}: content does not match the release's digest"):
        store.fetch(name)
    noted = {"sha256": f"sha256:{'0' * 64}"}
    s3.put_object(Bucket=NAME, Key=f"of/mine/{weights}", Body=b"other", Metadata=noted)
    with pytest.raises(Refused, match=rf"{weights}: content differs from what was uploaded"):
        store.fetch(name)
    put(weights, (directory / "model.safetensors").read_bytes())
    verify_release(store.fetch(name), key_pair.public, expect=name)


def test_a_release_of_another_key_is_refused_by_the_verifier(
    bucket_uri: str, pristine_release: tuple[Path, str], other_key_pair: KeyPair, tmp_path: Path
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path)
    store.upload(name, directory)
    with pytest.raises(Refused, match=r"release.sig: signed by another key"):
        verify_release(store.fetch(name), other_key_pair.public, expect=name)


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        ("config.json", "config.json: exists with different content"),
        ("more.json", "more.json: is not a file of this release"),
    ],
)
def test_a_foreign_object_in_a_release_s_place_keeps_it_from_appearing(
    foreign: str,
    said: str,
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    put: Callable[[str, bytes], None],
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    put(f"{key_of(name)}/{foreign}", b"{}")
    store = open_store(bucket_uri, tmp_path)
    with pytest.raises(Refused, match=said):
        store.upload(name, directory)
    assert store.children("releases/assistant") == []


@pytest.mark.parametrize("key", ["../../escaped.json", ".hidden.json", "pickle.bin", "a/../../b.json"])
def test_a_key_that_is_no_file_of_a_release_is_refused_before_anything_is_written(
    key: str,
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    put: Callable[[str, bytes], None],
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path / "cache")
    store.upload(name, directory)
    put(f"{key_of(name)}/{key}", b"{}")
    with pytest.raises(Refused):
        store.fetch(name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_fetch_that_was_cut_goes_on_and_is_seen_whole_or_not_at_all(
    bucket_uri: str,
    pristine_release: tuple[Path, str],
    key_pair: KeyPair,
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    store = open_store(bucket_uri, tmp_path)
    store.upload(name, directory)
    real = Bucket.download

    def cut(self: Bucket, key: str, path: Path) -> None:
        if path.name == "release.json":
            raise TemporaryError("cut")
        real(self, key, path)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "download", cut)
        with pytest.raises(TemporaryError):
            store.fetch(name)
    assert not list(tmp_path.glob("*/releases/assistant/sha256-*"))
    requests.clear()
    kept = store.fetch(name)
    assert requests.count("GetObject") == 3, "release.json, release.sig and tokenizer.json"
    verify_release(kept, key_pair.public, expect=name)
    requests.clear()
    assert store.fetch(name) == kept
    assert requests == ["HeadObject"]


def test_sign_list_promote_and_roll_back_work_over_a_bucket_as_over_a_folder(
    bucket_uri: str, key_pair: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: object) -> dict[str, Any]:
        done = CliRunner().invoke(command, [*map(str, arguments), "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    there = ("--store", bucket_uri)
    key = ("--key", key_pair.private)
    names = []
    for weight in (1.0, 2.0):
        signed = call("sign", make_run(tmp_path / str(weight), weight=weight), *there, *key)
        assert call("promote", signed["release"], *there, *key)["changed"]
        assert not call("promote", signed["release"], *there, *key)["changed"]
        names.append(signed["release"])
    failed = call("sign", make_run(tmp_path / "failed", passed=False), *there, *key)
    with pytest.raises(Refused, match="did not pass its evaluation gate"):
        call("promote", failed["release"], *there, *key)
    assert call("rollback", *there, *key)["release"] == names[0]
    found = call("list", *there, "--key", key_pair.public)
    assert {each["release"]: each["channels"] for each in found["releases"]} == {
        names[0]: ["stable"],
        names[1]: [],
        failed["release"]: [],
    }
    assert all(each["signed"] for each in found["releases"] + found["channels"])


def test_a_release_without_signature_is_not_taken(
    bucket_uri: str, release_copy: Path, pristine_release: tuple[Path, str], tmp_path: Path
) -> None:
    (release_copy / "release.sig").unlink()
    store = open_store(bucket_uri, tmp_path)
    assert isinstance(store, S3Store)
    with pytest.raises(InputError, match=r"is not signed: it has no release.sig"):
        store.upload(pristine_release[1], release_copy)
