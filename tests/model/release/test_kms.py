"""A signing key in KMS gives the signature that a PEM file gives."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from scenario_model.cloud.kms import KmsKey
from scenario_model.errors import InputError, Refused
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def kms_key(aws_api: object) -> str:
    made = boto3.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    return f"kms:{made['KeyMetadata']['Arn']}"


def test_a_key_in_kms_signs_releases_and_moves_channels_as_a_file_does(
    kms_key: str, release_copy: Path, pristine_release: tuple[Path, str], tmp_path: Path
) -> None:
    from model_signing import verifying

    key = keys.signing_key(kms_key)
    public = tmp_path / "verification.pem"
    assert keys.write_public(key, public)
    (release_copy / "release.sig").unlink()
    sign_directory(release_copy, key)
    name = pristine_release[1]
    verify_release(release_copy, public, expect=name)
    theirs = verifying.Config().use_elliptic_key_verifier(public_key=public)
    theirs.verify(release_copy, release_copy / "release.sig")
    store = FolderStore(tmp_path / "store")
    store.upload(name, release_copy)
    assert channel.promote(store, name, "stable", key, **channel.stamp())
    assert channel.current(store, "assistant", "stable", public) == name


def test_a_key_that_is_not_there_or_of_another_kind_is_bad_input(aws_api: object) -> None:
    with pytest.raises(InputError, match="the key does not exist"):
        keys.signing_key("kms:00000000-0000-0000-0000-000000000000")
    rsa = boto3.client("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    with pytest.raises(InputError, match="is not a P-256 key; create one with KeySpec ECC_NIST_P256"):
        keys.signing_key(f"kms:{rsa}")


class Hashing:
    """Signs as KMS documents it: hashes RAW messages, of at most 4096 bytes; signs a DIGEST as it is."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.asked: list[str] = []

    def sign(self, **asked: Any) -> dict[str, bytes]:
        message, kind = asked["Message"], asked["MessageType"]
        self.asked.append(kind)
        assert len(message) == 32 if kind == "DIGEST" else len(message) <= 4096
        digest = message if kind == "DIGEST" else hashlib.sha256(message).digest()
        return {"Signature": self.private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))}


def test_more_than_kms_takes_is_hashed_here_and_what_does_not_fit_is_refused(kms_key: str) -> None:
    key, service = KmsKey(kms_key.removeprefix("kms:")), Hashing()
    key._client, key._public = service, service.private.public_key()
    for size in (1, 4096, 4097, 100_000):
        data, how = bytes(size), ec.ECDSA(hashes.SHA256())
        key.public_key().verify(key.sign(data, how), data, how)
    assert service.asked == ["RAW", "RAW", "DIGEST", "DIGEST"]
    key._public = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(Refused, match="returned an invalid signature"):
        key.sign(b"", ec.ECDSA(hashes.SHA256()))
