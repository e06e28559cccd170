"""What we push, `oras` pulls; what `oras` pushes, we pull: the same artifact for both."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.release import oci
from scenario_model.release.oci_artifact import ARTIFACT, CONFIG
from scenario_model.release.oci_reference import Reference
from scenario_model.release.oci_registry import Registry
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys
from tests.model.release.oci.world import program, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

# `make test` has the same registry, and our own pull, in test_oci.py.
pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def host(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry(program(cache, "registry"), tmp_path_factory.mktemp("registry")) as running:
        yield running.host


@pytest.fixture
def oras(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    built = program(cache, "oras")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))

    def run(*words: object, cwd: Path = tmp_path) -> str:
        done = subprocess.run([built, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_oras_pulls_what_we_pushed_and_finds_its_signature(
    host: str,
    oras: Callable[..., str],
    pristine_release: tuple[Path, str],
    key_pair: KeyPair,
    tmp_path: Path,
) -> None:
    directory, name = pristine_release
    FolderStore(tmp_path / "store").upload(name, directory)
    where = Reference(host, "models/ours")
    with closing(Registry(where, plain_http=True)) as held:
        reference = str(oci.push(held, FolderStore(tmp_path / "store"), name, where).reference).removeprefix(
            "oci://"
        )
    oras("pull", "--plain-http", reference, "--output", tmp_path / "theirs")
    assert verify_release(tmp_path / "theirs", key_pair.public, name)
    found: Any = json.loads(oras("discover", "--plain-http", "--format", "json", reference))
    (signature,) = found["referrers"]
    assert signature["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"


def test_we_pull_what_oras_pushed(
    host: str, oras: Callable[..., str], release_copy: Path, key_pair: KeyPair, tmp_path: Path
) -> None:
    files = [
        path.relative_to(release_copy).as_posix()
        for path in sorted(release_copy.rglob("*"))
        if path.is_file()
    ]
    (tmp_path / "config").write_text("{}")
    oras(
        *("push", "--plain-http", f"{host}/models/theirs:v1", "--artifact-type", ARTIFACT),
        *("--config", f"../config:{CONFIG}", "--disable-path-validation"),
        *(f"{file}:application/vnd.cncf.model.weight.config.v1.raw" for file in files),
        cwd=release_copy,
    )
    where = Reference(host, "models/theirs", tag="v1")
    with closing(Registry(where, plain_http=True)) as held:
        done = oci.pull_to_folder(held, where, keys.load_public(key_pair.public), tmp_path / "new")
    assert verify_release(tmp_path / "new", key_pair.public, done.release)
