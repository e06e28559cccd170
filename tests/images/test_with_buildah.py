"""A real Buildah builds an image, and pushes and copies it to a real registry that asks for a password."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from images.tools import found
from scenario_model.serve import credentials
from tests.model.release.oci.world import program, registry

if TYPE_CHECKING:
    from pathlib import Path

PASSWORDS = "AWS:$2y$05$abcdefghijklmnopqrstuu8xaCxxL82bnl.UY74PMksDxIJShppPC\n"


@pytest.mark.slow
def test_an_image_is_built_on_another_one_pushed_and_copied(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("buildah"):
        pytest.skip("needs buildah: apt-get install buildah")
    (tmp_path / "passwords").write_text(PASSWORDS)
    asked = {"htpasswd": {"realm": "models", "path": str(tmp_path / "passwords")}}
    (tmp_path / "Containerfile").write_text(
        "ARG BASE=docker.io/library/none\nFROM ${BASE}\nCOPY told /told\n"
    )
    (tmp_path / "told").write_text("hello")
    tls = credentials.ensure(tmp_path / "tls", ["127.0.0.1"]).directory
    settings = {
        "auth": asked,
        "http": {"tls": {"certificate": str(tls / "server.pem"), "key": str(tls / "server.key")}},
    }
    with registry(program(cache, "registry"), tmp_path / "registry", **settings) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(tls / "ca.pem"))
        folders = f'runroot = "{tmp_path}/run"\ngraphroot = "{tmp_path}/images"\n'
        (tmp_path / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\n{folders}')
        monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "buildah").symlink_to(str(shutil.which("buildah")))
        with found(str(tmp_path / "bin")) as tool:
            tool.login(running.host, "AWS", "right")
            image, base = f"{running.host}/model:1", "localhost/base-of-a-test"
            tool.build(tmp_path, tmp_path / "Containerfile", base, {"BASE": "scratch"})
            tool.build(tmp_path, tmp_path / "Containerfile", image, {"BASE": base})
            tool.push(image)
            tool.copy(image, f"{running.host}/copies/model:1", "amd64")
    kept = tmp_path / "registry" / "kept" / "docker" / "registry" / "v2" / "repositories"
    for name in ("model", "copies/model"):
        assert (kept / name / "_manifests" / "tags" / "1" / "current" / "link").is_file()
