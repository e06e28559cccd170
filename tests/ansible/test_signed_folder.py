"""Nothing of a bundle goes to a host before it was verified: whatever was changed is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bundle import SIGNATURE, SUMS
from bundle.signing import sign, signing_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundle"
    (made / "wheels").mkdir(parents=True)
    for name in ("one.whl", "two.whl"):
        (made / "wheels" / name).write_text(name)
    sign(made, signing_key(tmp_path / "signing.pem", tmp_path / "public.pem"))
    return made


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "public.pem"


def test_what_was_signed_is_accepted_and_named_by_one_digest(module: Any, folder: Path, key: Path) -> None:
    digest = module("signed_folder").verify(folder, key)
    assert len(digest) == 64
    assert digest == module("signed_folder").verify(folder, key)


def swap(folder: Path) -> None:
    one, two = folder / "wheels/one.whl", folder / "wheels/two.whl"
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)


def link(folder: Path) -> None:
    one = folder / "wheels/one.whl"
    one.rename(folder.parent / "elsewhere")
    one.symlink_to(folder.parent / "elsewhere")


def other_key(folder: Path) -> None:
    sign(folder, signing_key(folder.parent / "other.pem", folder.parent / "other-public.pem"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "wheels/one.whl").write_text("One.whl"), "wheels/one.whl was changed"),
        (lambda f: (f / "wheels/one.whl").unlink(), "wheels/one.whl is missing"),
        (lambda f: (f / "wheels/three.whl").touch(), f"wheels/three.whl is not in {SUMS}"),
        (swap, "wheels/one.whl was changed"),
        (link, "wheels/one.whl was changed"),
        (lambda f: (f / SUMS).write_bytes((f / SUMS).read_bytes()[:-1]), f"{SUMS} was not signed with"),
        (lambda f: (f / SIGNATURE).write_bytes(b"no signature"), f"{SUMS} was not signed with"),
        (other_key, f"{SUMS} was not signed with"),
    ],
)
def test_whatever_was_changed_is_named(
    module: Any, folder: Path, key: Path, change: Callable[[Path], Any], said: str
) -> None:
    change(folder)
    signed_folder = module("signed_folder")
    with pytest.raises(signed_folder.RefusedError, match=said):
        signed_folder.verify(folder, key)
