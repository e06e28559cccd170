"""Artifacts that somebody changed, layers that were damaged, links that break: refused by name, or continued."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.digests import file_digest
from scenario_model.errors import Refused, ScenarioModelError, TemporaryError
from scenario_model.release import oci, oci_artifact
from scenario_model.release.oci_reference import Reference
from scenario_model.release.oci_registry import MANIFEST, Registry, digest_of
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory
from tests.model.release.oci.world import (
    PLAIN,
    BreakingLink,
    RunningRegistry,
    large,
    pushed,
    repository,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

pytestmark = pytest.mark.slow


def test_what_another_key_signed_is_refused_before_any_weights_are_asked_for(
    running: RunningRegistry, released: tuple[Path, str], other_key_pair: KeyPair, tmp_path: Path
) -> None:
    store, name = released
    reference = pushed(running, released)
    with pytest.raises(Refused, match=r"release\.sig: signed by another key"):
        run(
            "pull",
            reference,
            "--store",
            tmp_path / "mine",
            "--verification-key",
            other_key_pair.public,
            PLAIN,
        )
    weights = file_digest(FolderStore(store).fetch(name) / "model.safetensors")
    repo = Reference.parse(reference).repository
    assert f"GET /v2/{repo}/blobs/{weights}" not in running.requests
    assert any(f"GET /v2/{repo}/manifests/" in each for each in running.requests)
    assert not (tmp_path / "mine").exists()


def extra(manifest: dict[str, Any]) -> None:
    more = json.loads(json.dumps(manifest["layers"][0]))
    more["annotations"]["org.cncf.model.filepath"] = "more.json"
    manifest["layers"].append(more)


def named(path: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        manifest["layers"][0]["annotations"]["org.cncf.model.filepath"] = path

    return change


def swapped(manifest: dict[str, Any]) -> None:
    first, second = manifest["layers"][:2]
    first["digest"], second["digest"] = second["digest"], first["digest"]
    first["size"], second["size"] = second["size"], first["size"]


def without(name: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        kept = [each for each in manifest["layers"] if each["annotations"]["org.cncf.model.filepath"] != name]
        manifest["layers"] = kept

    return change


def sized(number: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["layers"][0].update(size=number)


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a file more": (extra, "more.json: exists but was not signed"),
    "a file less": (without("model.safetensors"), "model.safetensors: was signed but is missing"),
    "no signature": (without("release.sig"), "not signed: it has no release.sig"),
    "no description": (without("release.json"), "release.json: was signed but is missing"),
    "two files swapped": (swapped, "chat_template.jinja: content differs from what was signed"),
    "a file outside": (named("../../etc/x.json"), "the path leads out of the release"),
    "an absolute path": (named("/etc/x.json"), "the path leads out of the release"),
    "a pickle": (named("weights.pkl"), "not an allowed file type"),
    "a hidden file": (named(".x.json"), "a hidden file or a file name that releases do not use"),
    "a file twice": (named("config.json"), "lists a file twice"),
    "a file below a file": (named("config.json/x.json"), "is listed below a file"),
    "another kind": (lambda it: it.update(artifactType="application/x"), "is not a model"),
    "no layers": (lambda it: it.update(layers=[]), "is not a model"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_somebody_changed_is_refused_by_name(
    running: RunningRegistry,
    released: tuple[Path, str],
    key_pair: KeyPair,
    tmp_path: Path,
    change: str,
    opened: Callable[[str], Registry],
) -> None:
    """Who may write to the registry, and has no key."""
    reference = pushed(running, released)
    held = opened(reference)
    manifest = json.loads(held.manifest(reference.partition("@")[2]) or b"")
    do, refused = CHANGES[change]
    do(manifest)
    held.put_manifest("changed", json.dumps(manifest).encode())
    where = reference.partition("@")[0] + ":changed"
    with pytest.raises(Refused, match=refused):
        run("pull", where, "--to", tmp_path / "new", "--verification-key", key_pair.public, PLAIN)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("size", [-1, 2**50, True, "12", None, 10**99])
def test_a_size_that_no_file_has_is_refused(size: object) -> None:
    layer = {
        "digest": "sha256:" + "0" * 64,
        "size": size,
        "annotations": {"org.cncf.model.filepath": "a.json"},
    }
    content = json.dumps({"artifactType": oci_artifact.ARTIFACT, "layers": [layer]}).encode()
    with pytest.raises(Refused, match="lists a layer w"):
        oci_artifact.layers_of(content, "oci://host/a")


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "changed": (lambda content: b"x" * len(content), "model.safetensors: content differs from its digest"),
    "longer": (lambda content: content + b"x" * 10**6, "model.safetensors: content differs from its digest"),
    "shorter": (lambda content: content[:-1], "is shorter in the registry than it is listed"),
    "missing": (lambda _: b"", r"model.safetensors: ended after 0 of \d+ bytes|cannot be reached|answers 5"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_layer_that_is_damaged_in_the_registry_goes_nowhere(
    running: RunningRegistry,
    make_release: Callable[..., tuple[Path, str]],
    key_pair: KeyPair,
    tmp_path: Path,
    kind: str,
) -> None:
    directory, name = make_release(note=f"damaged {secrets.token_hex(4)}")
    weights = directory / "model.safetensors"
    copy = tmp_path / "copy"
    shutil.copytree(directory, copy)
    # Weights that no other test has pushed: the registry keeps every blob once.
    content = weights.read_bytes()[:-8] + secrets.token_bytes(8)
    (copy / "model.safetensors").write_bytes(content)
    (copy / "release.sig").unlink()
    sign_directory(copy, key_pair.private)
    name = verify_release(copy, key_pair.public).id
    FolderStore(tmp_path / "store").upload(name, copy)
    reference = pushed(running, (tmp_path / "store", name))
    do, refused = DAMAGE[kind]
    running.blob(digest_of(content)).write_bytes(do(content))
    with pytest.raises(ScenarioModelError, match=refused):
        run("pull", reference, "--store", tmp_path / "mine", "--verification-key", key_pair.public, PLAIN)
    assert not (tmp_path / "mine").exists()


def test_a_link_that_breaks_again_and_again_carries_every_byte_once(
    running: RunningRegistry, key_pair: KeyPair, tmp_path: Path
) -> None:
    size = 8_000_000
    name = large(tmp_path, key_pair, size)
    reference = pushed(running, (tmp_path / "store", name))
    with BreakingLink(running.host, after=size // 20, breaks=12) as link:
        through = reference.replace(running.host, link.host)
        told = run("pull", through, "--to", tmp_path / "new", "--verification-key", key_pair.public, PLAIN)
    assert link.breaks == 0
    assert verify_release(tmp_path / "new", key_pair.public, name)
    total = sum(path.stat().st_size for path in (tmp_path / "new").iterdir())
    assert told["received_bytes"] == total
    # What a break tears out of the middle of a record or of the kernel's buffers is sent again.
    assert link.carried < total * 1.02 + 20_000


def test_a_pull_that_was_given_up_continues_where_it_stopped(
    running: RunningRegistry, key_pair: KeyPair, tmp_path: Path, opened: Callable[[str], Registry]
) -> None:
    size = 4_000_000
    name = large(tmp_path, key_pair, size)
    reference = pushed(running, (tmp_path / "store", name))
    where = ("--to", tmp_path / "new", "--verification-key", key_pair.public, PLAIN)
    with BreakingLink(running.host, after=size // 2, breaks=1) as link:
        held = opened(reference.replace(running.host, link.host))
        layers = oci_artifact.layers_of(held.manifest(reference.partition("@")[2]) or b"", "x")
        digest = layers["model.safetensors"].digest
        draft = tmp_path / ".new.incoming"
        draft.mkdir()
        with pytest.raises(TemporaryError), (draft / "model.safetensors").open("wb") as stream:
            stream.writelines(held.blob(digest))
    arrived = (draft / "model.safetensors").stat().st_size
    assert arrived > size // 4
    told = run("pull", reference, *where)
    assert told["received_bytes"] == sum(layer.size for layer in layers.values()) - arrived
    assert verify_release(tmp_path / "new", key_pair.public, name)


def test_a_folder_with_another_release_is_left_alone(
    running: RunningRegistry, released: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    other = large(tmp_path / "other", key_pair, 10)
    shutil.copytree(FolderStore(tmp_path / "other" / "store").fetch(other), tmp_path / "new")
    with pytest.raises(Refused, match=f"contains {other}, but {released[1]} was expected"):
        run(
            "pull",
            pushed(running, released),
            "--to",
            tmp_path / "new",
            "--verification-key",
            key_pair.public,
            PLAIN,
        )
    assert verify_release(tmp_path / "new", key_pair.public, other)


def test_files_that_are_not_the_releases_are_not_pushed(
    running: RunningRegistry, released: tuple[Path, str]
) -> None:
    store, name = released
    path = FolderStore(store).fetch(name) / "tokenizer.json"
    path.chmod(0o644)
    path.write_text("{}")
    with pytest.raises(Refused, match="its files are not those of the release"):
        run("push", name, repository(running), "--store", store, PLAIN)


def test_a_registry_that_does_not_answer_is_tried_five_times(
    released: tuple[Path, str], key_pair: KeyPair, tmp_path: Path, surroundings: list[float]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        host = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(TemporaryError, match="cannot be reached") as caught:
        run(
            "pull", f"oci://{host}/a:v1", "--to", tmp_path / "x", "--verification-key", key_pair.public, PLAIN
        )
    assert caught.value.exit_code == 75
    assert surroundings == [1.0, 2.0, 4.0, 8.0]


def test_the_store_may_have_a_release_that_was_signed_again(
    running: RunningRegistry,
    released: tuple[Path, str],
    key_pair: KeyPair,
    tmp_path: Path,
    opened: Callable[[str], Registry],
) -> None:
    """Another signature by the same key is another artifact of the same release."""
    store, name = released
    shutil.copytree(FolderStore(store).fetch(name), tmp_path / "again")
    (tmp_path / "again" / "release.sig").unlink()
    sign_directory(tmp_path / "again", key_pair.private)
    FolderStore(tmp_path / "second").upload(name, tmp_path / "again")
    first, second = pushed(running, released), pushed(running, (tmp_path / "second", name))
    assert first.partition("@")[2] != second.partition("@")[2]
    found = oci.pull_to_store(
        opened(second),
        Reference.parse(second),
        keys.load_public(key_pair.public),
        FolderStore(store),
        tmp_path / "cache",
    )
    assert (found.release, found.changed) == (name, False)
    assert MANIFEST in (opened(first).manifest(first.partition("@")[2]) or b"").decode()
