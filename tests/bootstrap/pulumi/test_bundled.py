"""Behind an air gap the control node's own programs come out of the signed bundle, or not at all."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from bootstrap import BootstrapError
from bootstrap.pulumi import bundled
from bootstrap.pulumi.__main__ import find_engine
from bootstrap.registry import uv_environment
from bundle.signing import sign, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")


@pytest.fixture(autouse=True)
def nothing_judged_yet() -> Iterator[None]:
    bundled.bundle.cache_clear()
    yield
    bundled.bundle.cache_clear()


@pytest.fixture
def bundle(tmp_path: Path, programs: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with an engine and a wheel, signed and named in the environment."""
    folder = tmp_path / "bundle"
    programs(folder / "control-node" / "pulumi")
    (folder / "control-node" / "wheels").mkdir()
    (folder / "control-node" / "wheels" / "some-1.whl").write_bytes(b"wheel")
    (folder / "foundation").mkdir()
    (folder / "foundation" / "large").write_bytes(b"for hosts")
    key = tmp_path / "verification.pem"
    sign(folder, signing_key(tmp_path / "signing.pem", key))
    monkeypatch.setenv("BUNDLE", str(folder))
    monkeypatch.setenv("BUNDLE_KEY", str(key))
    return folder


def test_the_engine_comes_out_of_the_bundle_and_stays_without_it(
    bundle: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find_engine() == cache / "bundle"
    assert "(bundle)" in capsys.readouterr().err
    shutil.rmtree(bundle)
    monkeypatch.delenv("BUNDLE")
    bundled.bundle.cache_clear()
    assert find_engine() == cache / "bundle"


def test_packages_come_out_of_the_bundle_and_from_no_registry(bundle: Path) -> None:
    environment = uv_environment()
    for tool in ("PIP", "UV"):
        assert environment[f"{tool}_NO_INDEX"] == "1"
        assert environment[f"{tool}_FIND_LINKS"] == str(bundle / "control-node" / "wheels")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (
            lambda b: (b / "control-node/pulumi/pulumi").write_text("#!/bin/sh\n"),
            "pulumi/pulumi does not match its signed digest",
        ),
        (
            lambda b: (b / "control-node/wheels/some-1.whl").unlink(),
            "wheels/some-1.whl does not match its signed digest",
        ),
        (
            lambda b: (b / "control-node/wheels/more-1.whl").touch(),
            "wheels/more-1.whl does not match its signed digest",
        ),
        (lambda b: (b / "SHA256SUMS").write_text(""), "does not match the key"),
        (lambda b: (b / "SHA256SUMS.sig").unlink(), "does not match the key"),
        (lambda b: shutil.rmtree(b), "does not match the key"),
    ],
)
def test_a_bundle_that_was_changed_is_refused_by_the_name_of_the_file(
    harm: Callable[[Path], object], said: str, bundle: Path, cache: Path
) -> None:
    harm(bundle)
    with pytest.raises(BootstrapError, match=said):
        find_engine()
    with pytest.raises(BootstrapError, match="rejected"):
        uv_environment()
    assert not (cache / "bundle").exists()


def test_a_bundle_without_a_key_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUNDLE_KEY")
    with pytest.raises(BootstrapError, match="BUNDLE is set, BUNDLE_KEY is not; name the public key"):
        uv_environment()


def test_a_bundle_for_hosts_alone_says_so(tmp_path: Path, bundle: Path) -> None:
    shutil.rmtree(bundle / "control-node")
    for name in ("SHA256SUMS", "SHA256SUMS.sig"):
        (bundle / name).unlink()
    sign(bundle, signing_key(tmp_path / "signing.pem", tmp_path / "verification.pem"))
    with pytest.raises(BootstrapError, match="has no part for the control node; make bundle"):
        uv_environment()
