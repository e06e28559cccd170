"""A bundle is verified by what every machine has: openssl and sha256sum."""

from __future__ import annotations

import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from bundle import SIGNATURE, SUMS, BundleError
from bundle.signing import sign, signing_key

if TYPE_CHECKING:
    from pathlib import Path


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "signing.pem"


@pytest.fixture
def signed(tmp_path: Path, key: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / "a b.whl").write_bytes(b"\0wheel")
    (folder / "empty").touch()
    sign(folder, signing_key(key, key.with_name("public.pem")))
    return folder


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
def test_openssl_and_sha256sum_accept_it_and_no_changed_list(signed: Path, key: Path) -> None:
    verify = (
        "openssl",
        "dgst",
        "-sha256",
        "-verify",
        key.with_name("public.pem"),
        "-signature",
        SIGNATURE,
        SUMS,
    )
    assert run(*verify, cwd=signed).stdout == "Verified OK\n"
    assert (
        run("sha256sum", "--check", "--strict", SUMS, cwd=signed).stdout == "empty: OK\nwheels/a b.whl: OK\n"
    )
    (signed / SUMS).write_bytes((signed / SUMS).read_bytes() + b"\n")
    assert run(*verify, cwd=signed).returncode != 0


def test_the_key_is_made_once_and_is_its_owners_alone(signed: Path, key: Path) -> None:
    made = key.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    signing_key(key, key.with_name("public.pem"))
    assert key.read_bytes() == made


def test_a_file_that_is_no_key_is_named(key: Path) -> None:
    key.parent.mkdir()
    key.write_text("no key")
    with pytest.raises(BundleError, match=r"cannot read a private key"):
        signing_key(key, key.with_name("public.pem"))
