"""The public half of a key in KMS is asked for once. KMS is moto's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.aws import signing_key
from components.aws.caller import Caller
from components.aws.signing_key import PublicHalfProvider
from components.errors import CloudError
from tests.moto_account import moto_account

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-central-1"


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account; and the provider in this process, where it must not take the tracebacks away."""
    monkeypatch.setattr(signing_key, "settle_in", lambda: None)
    with moto_account(monkeypatch):
        yield


def asked(key: str) -> dict[str, Any]:
    inputs = {"key": key, "region": REGION, "caller": Caller().told()}
    outputs = PublicHalfProvider().create(inputs).outs
    assert outputs
    return outputs


def test_the_half_verifies_what_kms_signs() -> None:
    kms = boto3.client("kms", region_name=REGION)
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    half = serialization.load_pem_public_key(asked(key)["public_key"].encode())
    assert isinstance(half, ec.EllipticCurvePublicKey)
    signed = kms.sign(KeyId=key, Message=b"release", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    half.verify(signed, b"release", ec.ECDSA(hashes.SHA256()))


def test_a_key_that_is_not_there_is_one_line() -> None:
    key = f"arn:aws:kms:{REGION}:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    with pytest.raises(CloudError, match=f"{key}: KMS does not tell the public half of the signing key: "):
        asked(key)


def test_only_another_key_is_asked_for_anew() -> None:
    provider = PublicHalfProvider()
    assert provider.diff("one", {"key": "a", "caller": {}}, {"key": "b", "caller": {}}).replaces == ["key"]
    assert not provider.diff(
        "one", {"key": "a", "caller": {}}, {"key": "a", "caller": {"profile": "x"}}
    ).changes
