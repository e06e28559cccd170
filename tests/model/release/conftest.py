"""A tiny but real signed release: every file a release has, weights of a few bytes."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from scenario_model.cloud import client
from scenario_model.digests import tree_digest
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class KeyPair:
    private: Path
    public: Path


def key_of(name: str) -> str:
    """Where a release is in a store."""
    return f"releases/{name.replace('@sha256:', '/sha256-')}"


def _key_pair(directory: Path) -> KeyPair:
    pair = KeyPair(directory / "release-signing.pem", directory / "release-verification.pem")
    keys.create_pair(pair.private, pair.public)
    return pair


@pytest.fixture(scope="session")
def key_pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return _key_pair(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def other_key_pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return _key_pair(tmp_path_factory.mktemp("other-keys"))


@pytest.fixture(scope="session")
def make_release(
    tmp_path_factory: pytest.TempPathFactory, key_pair: KeyPair
) -> Callable[..., tuple[Path, str]]:
    """Signs a directory that holds release.json with the given fields; gives it and its `name@sha256:…`."""

    def make(name: str = "assistant", *, passed: bool = True, **fields: Any) -> tuple[Path, str]:
        directory = tmp_path_factory.mktemp("draft") / name
        directory.mkdir()
        evaluation = {"passed": passed, "reasons": [] if passed else ["too weak"]}
        manifest = {"format": 1, "name": name, "evaluation": evaluation, **fields}
        (directory / "release.json").write_text(json.dumps(manifest))
        (directory / "config.json").write_text('{"model_type": "llama"}')
        (directory / "tokenizer.json").write_text('{"version": "1.0"}')
        (directory / "chat_template.jinja").write_text("{{ messages }}")
        save_file({"weight": np.arange(12, dtype=np.float32)}, directory / "model.safetensors")
        (directory / "extra").mkdir()
        (directory / "extra" / "notes.txt").write_text("one\n")
        (directory / "extra" / "more.txt").write_text("two\n")
        digest = tree_digest(directory)
        sign_directory(directory, key_pair.private)
        return directory, f"{name}@{digest}"

    return make


@pytest.fixture(scope="session")
def pristine_release(make_release: Callable[..., tuple[Path, str]]) -> tuple[Path, str]:
    """The directory and the name of one signed release; not to be changed."""
    return make_release()


@pytest.fixture
def release_copy(pristine_release: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the signed release, to be tampered with."""
    return Path(shutil.copytree(pristine_release[0], tmp_path / "copy"))


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations that clients made from now on ask for."""
    asked: list[str] = []
    real = client.client

    def noting(service: str) -> Any:
        made = real(service)
        made.meta.events.register("before-call", lambda model, **_: asked.append(model.name))
        return made

    monkeypatch.setattr("scenario_model.cloud.bucket.client", noting)
    return asked
