"""Releases in a real registry, the CNCF's: pushed, pulled, once, and as the specification says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import InputError
from scenario_model.release.oci_registry import Registry, digest_of
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.serve import credentials
from tests.model.release.oci.world import PLAIN, RunningRegistry, program, pushed, registry, repository, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

pytestmark = pytest.mark.slow


def test_what_is_pulled_into_a_folder_is_the_release(
    running: RunningRegistry, released: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    store, name = released
    told = run("push", name, repository(running), "--store", store, PLAIN)
    assert told["tag"] == f"assistant-{name.partition(':')[2][:12]}"
    assert told["reference"].partition("@")[2].startswith("sha256:")
    pulled = run(
        "pull", told["reference"], "--to", tmp_path / "new", "--verification-key", key_pair.public, PLAIN
    )
    assert (pulled["release"], pulled["reference"], pulled["changed"]) == (name, told["reference"], True)
    assert pulled["received_bytes"] == sum(
        path.stat().st_size for path in FolderStore(store).fetch(name).rglob("*.*")
    )
    assert verify_release(tmp_path / "new", key_pair.public, name)


def test_the_same_release_is_pushed_and_pulled_once(
    running: RunningRegistry, released: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    store, name = released
    where = repository(running)
    first = run("push", name, where, "--store", store, PLAIN)
    again = run("push", name, where, "--store", store, PLAIN)
    assert (first["changed"], again["changed"], again["sent_bytes"]) == (True, False, 0)
    assert again["reference"] == first["reference"]
    for changed in (True, False):
        pulled = run(
            *("pull", f"{where}:{first['tag']}", "--store", tmp_path / "mine"),
            *("--verification-key", key_pair.public, PLAIN),
        )
        assert (pulled["release"], pulled["changed"]) == (name, changed)
    assert pulled["received_bytes"] == 0
    assert verify_release(FolderStore(tmp_path / "mine").fetch(name), key_pair.public, name)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size] == []


def test_a_tag_of_ones_own_moves_to_the_next_release(
    running: RunningRegistry,
    released: tuple[Path, str],
    make_release: Callable[..., tuple[Path, str]],
    opened: Callable[[str], Registry],
) -> None:
    store, name = released
    directory, other = make_release(note="next")
    FolderStore(store).upload(other, directory)
    where = f"{repository(running)}:stable"
    first = run("push", name, where, "--store", store, PLAIN)
    second = run("push", other, where, "--store", store, PLAIN)
    assert (first["tag"], second["tag"], second["changed"]) == ("stable", "stable", True)
    content = opened(where).manifest("stable")
    assert content
    assert second["reference"].endswith(digest_of(content))


def test_the_artifact_is_what_modelpack_says(
    running: RunningRegistry, released: tuple[Path, str], opened: Callable[[str], Registry]
) -> None:
    reference = pushed(running, released)
    held = opened(reference)
    content = held.manifest(reference.partition("@")[2])
    assert content
    manifest = json.loads(content)
    kinds = {each["annotations"]["org.cncf.model.filepath"]: each["mediaType"] for each in manifest["layers"]}
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert kinds["model.safetensors"] == "application/vnd.cncf.model.weight.v1.raw"
    assert (
        kinds["tokenizer.json"] == kinds["release.sig"] == "application/vnd.cncf.model.weight.config.v1.raw"
    )
    config = json.loads(held.small_blob(manifest["config"]["digest"], 10_000))
    assert config["modelfs"] == {"type": "layers", "diffIds": [each["digest"] for each in manifest["layers"]]}
    assert config["descriptor"]["name"] == "assistant"


def test_the_signature_refers_to_the_artifact(
    running: RunningRegistry, released: tuple[Path, str], opened: Callable[[str], Registry]
) -> None:
    store, name = released
    reference = pushed(running, released)
    held, digest = opened(reference), reference.partition("@")[2]
    listed = held.manifest(digest.replace(":", "-"))
    assert listed
    (entry,) = json.loads(listed)["manifests"]
    assert entry["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    content = held.manifest(entry["digest"])
    assert content
    referrer = json.loads(content)
    assert referrer["subject"]["digest"] == digest
    bundle = (FolderStore(store).fetch(name) / "release.sig").read_bytes()
    assert held.small_blob(referrer["layers"][0]["digest"], 10**6) == bundle


def test_a_certificate_is_checked(
    cache: Path, released: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    credentials.ensure(tmp_path / "tls", ["127.0.0.1"])
    tls = {"certificate": str(tmp_path / "tls" / "server.pem"), "key": str(tmp_path / "tls" / "server.key")}
    store, name = released
    with registry(program(cache, "registry"), tmp_path / "registry", http={"tls": tls}) as running:
        with pytest.raises(
            InputError, match=r"its certificate is not trusted: .*; name the registry's CA with"
        ):
            run("push", name, f"oci://{running.host}/a", "--store", store)
        authority = ("--authority", tmp_path / "tls" / "ca.pem")
        told = run("push", name, f"oci://{running.host}/a", "--store", store, *authority)
        key = ("--verification-key", key_pair.public)
        assert run("pull", told["reference"], "--to", tmp_path / "new", *key, *authority)["release"] == name


def test_what_is_not_there_is_said_in_one_line(
    running: RunningRegistry, released: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    key = ("--to", tmp_path / "new", "--verification-key", key_pair.public, PLAIN)
    with pytest.raises(InputError, match="the registry has no such artifact"):
        run("pull", f"{repository(running)}:v1", *key)
    with pytest.raises(InputError, match="names no artifact; add :TAG or @sha256"):
        run("pull", repository(running), *key)
    with pytest.raises(InputError, match="a release is pushed to a tag; leave the digest out"):
        run("push", released[1], f"oci://h/a@sha256:{'0' * 64}", "--store", released[0])
