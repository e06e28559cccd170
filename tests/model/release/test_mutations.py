"""Whatever is done to a signed release, the verifier refuses it, by name."""

from __future__ import annotations

import os
import random
import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from scenario_model.errors import Refused
from scenario_model.release.verify import verify_release
from tests.campaigns import campaign

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

# Names that tools like to leave out of what they sign, and names that loaders like to pick up.
ADDED_NAMES = (
    ".git/config",
    ".gitignore",
    ".gitattributes",
    ".github/x.json",
    "__pycache__/modeling.pyc",
    ".hidden.json",
    ".release.sig",
    "release.sig.bak",
    "RELEASE.SIG",
    "extra/release.sig",
    "extra/new.json",
    "new/deep/er/file.json",
    "model-00002-of-00002.safetensors",
    "adapter_model.safetensors",
    "pytorch_model.bin",
    "model.pt",
    "weights.pkl",
    "last.ckpt",
    "modeling_llama.py",
    "generation_config.json",
    "a name with spaces.json",
    "new\nline.json",
    "ünï.json",
    "release.json~",
    "x" * 200 + ".json",
    "-rf.json",
    ".DS_Store",
)


def flip_a_bit(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    content = bytearray(path.read_bytes())
    content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)
    path.write_bytes(content)
    return f"bit flipped in {path.name}"


def insert_bytes(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    content = path.read_bytes()
    at = random_.randrange(len(content) + 1)
    path.write_bytes(content[:at] + random_.choice([b" ", b"\n", b"\0", b"{}", b"=" * 9]) + content[at:])
    return f"bytes put into {path.name} at {at}"


def cut_off(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    content = path.read_bytes()
    path.write_bytes(content[: random_.randrange(len(content))])
    return f"{path.name} cut off"


def add_a_file(root: Path, random_: random.Random) -> str:
    name = random_.choice(ADDED_NAMES)
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random_.choice([b"", b"{}", b"\x80\x04]q\x00.", b"#!/bin/sh\n"]))
    return f"added {name!r}"


def add_a_directory(root: Path, random_: random.Random) -> str:
    name = random_.choice(
        ["empty", ".git", "__pycache__", "extra/empty", "a/b/c/d", "release.sig.d", "x.json"]
    )
    (root / name).mkdir(parents=True)
    return f"added directory {name}"


def remove_a_file(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    path.unlink()
    return f"removed {path.name}"


def swap_for_a_symlink(root: Path, random_: random.Random) -> str:
    path = random_.choice([_any_file(root, random_), root / "extra"])
    aside = root.parent / "aside"
    path.rename(aside)
    path.symlink_to(aside if random_.random() < 0.5 else os.path.relpath(aside, path.parent))
    return f"{path.name} is a symlink to the same content"


def swap_for_a_hard_link(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    (root.parent / "second-name").hardlink_to(path)
    return f"{path.name} has a second hard link"


def swap_for_a_pipe(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    path.unlink()
    os.mkfifo(path)
    return f"{path.name} is a pipe"


def swap_for_a_directory(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "content.json").write_bytes(content)
    return f"{path.name} is a directory"


def swap_two_contents(root: Path, random_: random.Random) -> str:
    first, second = random_.sample(_files(root), 2)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    return f"contents of {first.name} and {second.name} exchanged"


def rename_a_file(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    # "aaa" keeps the file first or last in its folder: the digests alone would then be in the same order.
    new = path.with_name(random_.choice(["aaa.json", "zzz.json", path.name.upper(), path.name + ".json"]))
    path.rename(new)
    return f"{path.name} renamed to {new.name}"


def move_a_file(root: Path, random_: random.Random) -> str:
    path = _any_file(root, random_)
    target = root / "extra" / path.name if path.parent == root else root / path.name
    path.rename(target)
    return f"{path.name} moved to another folder"


MUTATORS: tuple[Callable[[Path, random.Random], str], ...] = (
    *(flip_a_bit,) * 4,
    *(insert_bytes,) * 2,
    *(add_a_file,) * 2,
    cut_off,
    add_a_directory,
    remove_a_file,
    swap_for_a_symlink,
    swap_for_a_hard_link,
    swap_for_a_pipe,
    swap_for_a_directory,
    swap_two_contents,
    rename_a_file,
    move_a_file,
)


@pytest.mark.slow
@campaign("mutations", 200, soak=1200)
def test_none_of_many_random_mutations_is_accepted(
    mutations: int, pristine_release: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    accepted, unnamed = [], []
    for seed in range(mutations):
        random_ = random.Random(seed)
        root = tmp_path / str(seed) / "release"
        shutil.copytree(pristine_release[0], root)
        done = random_.choice(MUTATORS)(root, random_)
        refusal = _refusal(root, key_pair)
        if refusal is None:
            accepted.append(f"{seed}: {done}")
        elif not refusal.where or "\n" in str(refusal):
            unnamed.append(f"{seed}: {done}: {refusal}")
        shutil.rmtree(tmp_path / str(seed))
    assert accepted == []
    assert unnamed == []
    assert verify_release(pristine_release[0], key_pair.public).id == pristine_release[1]


@pytest.mark.slow
def test_every_single_bit_of_the_signature_file_counts(
    pristine_release: tuple[Path, str], key_pair: KeyPair, release_copy: Path
) -> None:
    signature = release_copy / "release.sig"
    original = signature.read_bytes()
    for at in range(len(original)):
        changed = bytearray(original)
        changed[at] ^= 1 << (at % 8)
        signature.write_bytes(changed)
        with pytest.raises(Refused):
            verify_release(release_copy, key_pair.public)
    signature.write_bytes(original)
    assert verify_release(release_copy, key_pair.public).id == pristine_release[1]


def test_a_socket_in_a_release_is_refused(
    release_copy: Path, key_pair: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(release_copy)  # a socket's whole path may have 107 characters only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("tokenizer.txt")
        with pytest.raises(Refused, match=r"^tokenizer.txt: is a socket"):
            verify_release(release_copy, key_pair.public)


def _refusal(root: Path, key_pair: KeyPair) -> Refused | None:
    try:
        verify_release(root, key_pair.public)
    except Refused as refusal:
        return refusal
    return None


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _any_file(root: Path, random_: random.Random) -> Path:
    return random_.choice(_files(root))
