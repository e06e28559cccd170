"""What the verifier accepts, what it refuses, in which words, and how fast."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing, verifying

from scenario_model.digests import tree_digest
from scenario_model.errors import InputError, Refused
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.release.conftest import KeyPair


def test_a_release_as_it_was_signed_is_accepted(
    pristine_release: tuple[Path, str], key_pair: KeyPair
) -> None:
    directory, name = pristine_release
    release = verify_release(directory, key_pair.public, expect=name)
    assert release.id == name
    assert release.name == "assistant"
    assert release.digest == tree_digest(directory, leave_out=frozenset({"release.sig"}))
    assert release.manifest["evaluation"]["passed"] is True


def test_the_reference_implementation_accepts_the_same_signature(
    pristine_release: tuple[Path, str], key_pair: KeyPair
) -> None:
    directory, _ = pristine_release
    files = hashing.Config().use_file_serialization()
    files.set_ignored_paths(paths=[], ignore_git_paths=False)
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=key_pair.public)
    verifier.set_hashing_config(files).verify(directory, directory / "release.sig")


def test_signing_again_gives_the_same_name(release_copy: Path, key_pair: KeyPair) -> None:
    first = verify_release(release_copy, key_pair.public)
    bundle = (release_copy / "release.sig").read_bytes()
    (release_copy / "release.sig").unlink()
    sign_directory(release_copy, key_pair.private)
    assert (release_copy / "release.sig").read_bytes() != bundle
    assert verify_release(release_copy, key_pair.public).id == first.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: _flip(root / "model.safetensors"),
            "model.safetensors: content differs from what was signed",
        ),
        (lambda root: (root / "extra/new.json").touch(), "extra/new.json: exists but was not signed"),
        (lambda root: (root / "config.json").unlink(), "config.json: was signed but is missing"),
        (lambda root: (root / "empty").mkdir(), "empty/: an empty directory, which was not signed"),
        (lambda root: _link(root / "config.json"), "config.json: is a symlink, not the file itself"),
        (lambda root: _link(root / "extra"), "extra: is a symlink, not the file itself"),
        (
            lambda root: (root / "../name").hardlink_to(root / "config.json"),
            "config.json: has another hard link",
        ),
        (lambda root: (root / "model.bin").write_bytes(b"\x80\x04."), "model.bin: not an allowed file type"),
        (lambda root: (root / "release.sig").unlink(), "not signed: it has no release.sig"),
        (lambda root: (root / "release.sig").write_bytes(b""), "release.sig: not a model-signing bundle"),
        (
            lambda root: (root / "release.sig").write_bytes(b"[" * 10**6),
            "release.sig: not a model-signing bundle",
        ),
        (
            lambda root: (root / "release.sig").write_bytes(b" " * (4 * 2**20 + 1)),
            "release.sig: has 4194305 bytes",
        ),
        (lambda root: (root / "extra").chmod(0), "extra: cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_refusal_names_file_and_kind(
    change: Callable[[Path], object], message: str, release_copy: Path, key_pair: KeyPair
) -> None:
    if "cannot be read" in message and os.geteuid() == 0:
        pytest.skip("root may read everything: run the tests as another user")
    change(release_copy)
    with pytest.raises(Refused) as refusal:
        verify_release(release_copy, key_pair.public)
    (release_copy / "extra").chmod(0o755)
    assert message in str(refusal.value)


def test_another_key_is_refused(
    pristine_release: tuple[Path, str], key_pair: KeyPair, other_key_pair: KeyPair
) -> None:
    with pytest.raises(
        Refused, match=r"^release.sig: signed by another key \(sha256:[0-9a-f]{16}…, expected"
    ):
        verify_release(pristine_release[0], other_key_pair.public)


def test_claiming_the_other_keys_name_does_not_help(
    release_copy: Path, key_pair: KeyPair, other_key_pair: KeyPair
) -> None:
    bundle = json.loads((release_copy / "release.sig").read_text())
    public = keys.load_public(other_key_pair.public)
    bundle["verificationMaterial"]["publicKey"]["hint"] = keys.fingerprint(public)
    (release_copy / "release.sig").write_text(json.dumps(bundle, separators=(",", ":")))
    with pytest.raises(Refused, match="invalid signature"):
        verify_release(release_copy, other_key_pair.public)


def test_the_signature_of_another_release_is_refused(
    make_release: Callable[..., tuple[Path, str]], release_copy: Path, key_pair: KeyPair
) -> None:
    other, _ = make_release(note="another one")
    shutil.copyfile(other / "release.sig", release_copy / "release.sig")
    with pytest.raises(Refused, match=r"^release.json: content differs from what was signed"):
        verify_release(release_copy, key_pair.public)


def test_another_release_than_the_expected_one_is_refused(
    make_release: Callable[..., tuple[Path, str]], key_pair: KeyPair
) -> None:
    directory, name = make_release(note="older")
    wanted = f"assistant@sha256:{'0' * 64}"
    with pytest.raises(Refused, match=f"contains {name}, but {wanted} was expected"):
        verify_release(directory, key_pair.public, expect=wanted)


@pytest.mark.parametrize(
    "file_name", ["pytorch_model.bin", "model.pt", "w.pkl", "c.ckpt", "m.npz", "modeling.py"]
)
def test_pickles_and_code_are_refused_even_when_signed(
    file_name: str, release_copy: Path, key_pair: KeyPair
) -> None:
    (release_copy / file_name).write_bytes(b"\x80\x04]q\x00.")
    _sign_again(release_copy, key_pair)
    with pytest.raises(Refused, match=f"^{file_name}: not an allowed file type"):
        verify_release(release_copy, key_pair.public)


@pytest.mark.parametrize("file_name", ["vocabulary.json", "tokenizer.model", "weights.safetensors"])
def test_a_pickle_under_an_innocent_name_is_refused_even_when_signed(
    file_name: str, release_copy: Path, key_pair: KeyPair
) -> None:
    (release_copy / file_name).write_bytes(b"\x80\x04]q\x00.")
    _sign_again(release_copy, key_pair)
    with pytest.raises(Refused, match=f"^{file_name}: is (a pickle or an archive|not a safetensors file)"):
        verify_release(release_copy, key_pair.public)


@pytest.mark.parametrize(
    "file_name", ["../escape.json", "/etc/escape.json", "extra/../../escape.json", "..", "a\\b.json"]
)
def test_a_signed_path_that_escapes_is_refused(file_name: str, release_copy: Path, key_pair: KeyPair) -> None:
    _sign_statement(release_copy, key_pair, rename={"extra/notes.txt": file_name})
    with pytest.raises(Refused, match="leads out of the release"):
        verify_release(release_copy, key_pair.public)


def test_a_signature_that_leaves_files_out_is_refused(release_copy: Path, key_pair: KeyPair) -> None:
    _sign_statement(release_copy, key_pair, ignore=["release.sig", "extra"])
    with pytest.raises(Refused, match=r"^release.sig: signed, but not in the form of a release"):
        verify_release(release_copy, key_pair.public)


def test_a_release_that_lacks_its_description_is_refused(release_copy: Path, key_pair: KeyPair) -> None:
    (release_copy / "release.json").unlink()
    _sign_again(release_copy, key_pair)
    with pytest.raises(Refused, match=r"^release.json: a release must have it"):
        verify_release(release_copy, key_pair.public)


def test_what_is_not_a_p256_key_is_bad_input(
    pristine_release: tuple[Path, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    for content in (b"", b"no key", key_pair.private.read_bytes()):
        (tmp_path / "key.pem").write_bytes(content)
        with pytest.raises(InputError, match="not an unencrypted public ECDSA P-256 key"):
            verify_release(pristine_release[0], tmp_path / "key.pem")
    with pytest.raises(InputError, match="cannot read the key"):
        verify_release(pristine_release[0], tmp_path / "nowhere.pem")


def test_a_change_after_verifying_is_noticed_even_if_it_was_undone(
    release_copy: Path, key_pair: KeyPair
) -> None:
    release = verify_release(release_copy, key_pair.public)
    release.check_unchanged()
    weights = release_copy / "model.safetensors"
    status, content = weights.stat(), weights.read_bytes()
    _flip(weights)
    weights.write_bytes(content)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(Refused, match=r"^model.safetensors: changed after it was verified"):
        release.check_unchanged()


def test_verifying_imports_neither_torch_nor_the_signing_library() -> None:
    code = (
        "import sys, scenario_model.release.verify; print(*{'torch', 'model_signing'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.slow
def test_a_flipped_byte_in_270_megabytes_is_found_within_two_seconds(
    release_copy: Path, key_pair: KeyPair
) -> None:
    weights = release_copy / "model.safetensors"
    with weights.open("ab") as stream:
        for _ in range(270):
            stream.write(os.urandom(1_000_000))
    _sign_again(release_copy, key_pair)
    verify_release(release_copy, key_pair.public)
    with weights.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)[0]
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last ^ 1]))
    # Processor time: what else runs on this machine does not count, and the file is in memory.
    begun = time.process_time()
    with pytest.raises(Refused, match=r"^model.safetensors: content differs"):
        verify_release(release_copy, key_pair.public)
    assert time.process_time() - begun < 2


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _link(path: Path) -> None:
    aside = path.parent.parent / "aside"
    path.rename(aside)
    path.symlink_to(aside)


def _sign_again(directory: Path, key_pair: KeyPair) -> None:
    (directory / "release.sig").unlink()
    sign_directory(directory, key_pair.private)


def _sign_statement(
    directory: Path,
    key_pair: KeyPair,
    *,
    rename: dict[str, str] | None = None,
    ignore: list[str] | None = None,
) -> None:
    """Sign, with the right key, a statement that no honest signer would make."""
    bundle = json.loads((directory / "release.sig").read_text())
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    for entry in statement["predicate"]["resources"]:
        entry["name"] = (rename or {}).get(entry["name"], entry["name"])
    if ignore is not None:
        statement["predicate"]["serialization"]["ignore_paths"] = ignore
    else:
        resources = sorted(statement["predicate"]["resources"], key=lambda entry: entry["name"].split("/"))
        joined = b"".join(bytes.fromhex(entry["digest"]) for entry in resources)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(joined)
        statement["subject"][0]["digest"]["sha256"] = digest.finalize().hex()
    payload = json.dumps(statement).encode()
    encoded = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    signature = keys.load_private(key_pair.private).sign(encoded, ec.ECDSA(hashes.SHA256()))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    (directory / "release.sig").write_text(json.dumps(bundle, separators=(",", ":")))


def test_a_file_that_git_would_ignore_is_covered_when_signed_by_another_tool(
    release_copy: Path, key_pair: KeyPair
) -> None:
    # The library's own default leaves .git out of the signature and out of the check.
    (release_copy / "release.sig").unlink()
    (release_copy / ".git").mkdir()
    (release_copy / ".git" / "config").write_text("[core]")
    signing.Config().use_elliptic_key_signer(private_key=key_pair.private).sign(
        release_copy, release_copy / "release.sig"
    )
    with pytest.raises(Refused, match=r"^.git/config: a hidden file"):
        verify_release(release_copy, key_pair.public)
