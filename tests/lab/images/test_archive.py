"""An image's archive holds what was put in, and nothing that is only this machine's."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from lab.images.archive import Config, write_archive

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = Config(entrypoint=["/run-me"], user="7:7", environment={"A": "b"}, labels={"kind": "test"})


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program"
    file.write_bytes(b"content")
    file.chmod(0o600)
    return file


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("etc/name", "usr/bin/tool", "var/log/old", "tmp/left", "dev/thing"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "usr/bin/tool").chmod(0o750)
    (root / "bin").symlink_to("usr/bin")
    return root


def read(archive: Path) -> tuple[dict[str, Any], dict[str, Any], list[tarfile.TarFile]]:
    """Manifest, configuration and layers, each checked against the digest that it is known by."""
    with tarfile.open(archive) as whole:
        files = {member.name: (whole.extractfile(member) or io.BytesIO()).read() for member in whole}
    (manifest,) = json.loads(files["manifest.json"])
    about = files[manifest["Config"]]
    assert manifest["Config"] == f"{hashlib.sha256(about).hexdigest()}.json"
    layers = [files[name] for name in manifest["Layers"]]
    config = json.loads(about)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in layers]
    return manifest, config, [tarfile.open(fileobj=io.BytesIO(each)) for each in layers]


def test_a_container_starts_as_it_was_told(program: Path, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "a.tar", "localhost/x:1", [{"run-me": program}], CONFIG)
    manifest, config, (layer,) = read(archive)
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert config["config"]["Entrypoint"] == ["/run-me"]
    assert config["config"]["User"] == "7:7"
    assert "A=b" in config["config"]["Env"]
    assert config["config"]["Labels"] == {"kind": "test"}
    member = layer.getmember("run-me")
    assert (member.mode, member.uid, member.uname) == (0o755, 0, "")
    assert (layer.extractfile(member) or io.BytesIO()).read() == b"content"
    assert sorted(path.name for path in tmp_path.glob("a.tar*")) == ["a.tar"]


def test_the_same_content_makes_the_same_bytes(program: Path, tmp_path: Path) -> None:
    first = write_archive(tmp_path / "a.tar", "localhost/x:1", [{"run-me": program}], CONFIG).read_bytes()
    program.touch()
    assert (
        write_archive(tmp_path / "b.tar", "localhost/x:1", [{"run-me": program}], CONFIG).read_bytes()
        == first
    )


def test_a_tree_becomes_a_layer_without_what_is_this_machines(tree: Path, tmp_path: Path) -> None:
    _, _, (layer,) = read(write_archive(tmp_path / "a.tar", "localhost/x:1", [{"": tree}], CONFIG))
    names = {name.removeprefix("./") for name in layer.getnames()}
    assert {"etc/name", "usr/bin/tool", "bin", "tmp", "dev"} <= names
    assert not {"tmp/left", "dev/thing", "var/log/old"} & names
    assert layer.getmember("./usr/bin/tool").mode == 0o750
    assert layer.getmember("./bin").linkname == "usr/bin"


def test_layers_lie_above_each_other_where_they_were_put(tree: Path, program: Path, tmp_path: Path) -> None:
    layers = [{"": tree}, {"opt/here": tree / "usr"}, {"opt/here/added": program}]
    _, _, (_, second, third) = read(write_archive(tmp_path / "a.tar", "localhost/x:1", layers, CONFIG))
    assert "opt/here/bin/tool" in second.getnames()
    assert third.getnames() == ["opt", "opt/here", "opt/here/added"]
    assert third.getmember("opt/here").isdir()
