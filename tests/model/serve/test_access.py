"""Keys and rates."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.errors import InputError
from scenario_model.serve.access import Bucket, Keyring
from scenario_model.serve.settings import ApiKeys, HashedKey, load_api_keys

if TYPE_CHECKING:
    from pathlib import Path


def hashed(key: str, name: str) -> HashedKey:
    return HashedKey(id=name, sha256=hashlib.sha256(key.encode()).hexdigest())


def test_a_key_is_known_by_its_hash_and_named() -> None:
    keyring = Keyring(ApiKeys(keys=(hashed("one", "first"), hashed("two", "second"))))
    assert keyring.identify([(b"authorization", b"Bearer two")]) == "second"
    assert keyring.identify([(b"authorization", b"bearer one")]) == "first"


def test_a_bucket_lets_through_what_flows_in() -> None:
    now = [0.0]
    bucket = Bucket(60, lambda: now[0])
    bucket.charge(60)
    assert bucket.wait() == pytest.approx(1.0)
    now[0] = 1.0
    assert bucket.wait() == 0
    bucket.charge(11)
    assert bucket.wait() == pytest.approx(11.0)
    now[0] = 3600.0
    bucket.charge(60)
    assert bucket.wait() > 0, "no more than a minute's worth is kept"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([], "contains no API keys"),
        ([{"id": "a", "sha256": "AB" * 32}], "is not a SHA-256"),
        ([{"id": "a", "sha256": "plain-key"}], "is not a SHA-256"),
        ([{"id": "a b", "sha256": "ab" * 32}], "keys\\[0\\].id"),
        ([{"id": "a", "sha256": "ab" * 32}, {"id": "a", "sha256": "cd" * 32}], "keys\\[0\\].id"),
        ([{"id": "a", "key": "x"}], "unknown key"),
    ],
)
def test_a_bad_key_file_is_one_clear_error(tmp_path: Path, keys: Any, says: str) -> None:
    path = tmp_path / "api_keys.json"
    path.write_text(json.dumps({"keys": keys}))
    with pytest.raises(InputError, match=says) as error:
        load_api_keys(path)
    assert str(path) in str(error.value)
    assert "plain-key" not in str(error.value)
