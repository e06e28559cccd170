"""Uploads to a bucket that are killed or done twice: no part is carried again, and nothing half appears."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from scenario_model.cloud import multipart
from scenario_model.digests import tree_digest
from scenario_model.errors import InputError
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from scenario_model.signing.signature import sign_directory
from tests.model.conftest import NAME
from tests.model.release.conftest import key_of

if TYPE_CHECKING:
    from tests.model.release.conftest import KeyPair

pytestmark = pytest.mark.slow

MIB = 2**20


@pytest.fixture(scope="module")
def large_release(tmp_path_factory: pytest.TempPathFactory, key_pair: KeyPair) -> tuple[Path, str]:
    """A signed release with a file of three parts; not to be changed."""
    directory = tmp_path_factory.mktemp("large") / "assistant"
    directory.mkdir()
    manifest = {"format": 1, "name": "assistant", "evaluation": {"passed": True, "reasons": []}}
    (directory / "release.json").write_text(json.dumps(manifest))
    (directory / "config.json").write_text('{"model_type": "llama"}')
    weight = np.random.default_rng(0).random(5 * MIB // 2, dtype=np.float32)  # 10 MiB, and a header
    save_file({"weight": weight}, directory / "model.safetensors")
    name = f"assistant@{tree_digest(directory)}"
    sign_directory(directory, key_pair.private)
    return directory, name


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest that S3 takes."""
    monkeypatch.setattr(multipart, "PART_BYTES", 5 * MIB)


def test_a_writer_killed_before_any_of_its_requests_leaves_nothing_visible_and_the_next_completes_it(
    bucket_uri: str,
    large_release: tuple[Path, str],
    key_pair: KeyPair,
    small_parts: None,
    s3: Any,
    tmp_path: Path,
) -> None:
    directory, name = large_release
    script = Path(__file__).with_name("killed_uploader.py")
    process = subprocess.Popen(
        [sys.executable, script, name, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    deaths, code = 0, 9
    while code == 9:
        uri = f"{bucket_uri}/{deaths}"
        process.stdin.write(f"{deaths} {uri}\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        store = open_store(uri, tmp_path / str(deaths))
        if code == 9:
            assert store.children("releases/assistant") == []
            assert store.read(f"{key_of(name)}/config.json") is None
            with pytest.raises(InputError, match="does not contain release"):
                store.fetch(name)
        else:
            assert code == 0
        assert store.upload(name, directory) == (code == 9)
        verify_release(store.fetch(name), key_pair.public, expect=name)
        deaths += code == 9
    process.communicate()
    assert deaths >= 12
    assert not s3.list_multipart_uploads(Bucket=NAME).get("Uploads"), "unfinished uploads cost money"


def test_what_a_killed_writer_had_carried_is_not_carried_again(
    bucket_uri: str,
    large_release: tuple[Path, str],
    small_parts: None,
    requests: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    directory, name = large_release
    store = open_store(bucket_uri, tmp_path)

    def dies(**_: object) -> None:
        raise KeyboardInterrupt

    events = store._bucket._client.meta.events  # type: ignore[attr-defined]
    events.register("before-call.s3.CompleteMultipartUpload", dies)
    with pytest.raises(KeyboardInterrupt):
        store.upload(name, directory)
    assert requests.count("UploadPart") == 3
    requests.clear()
    assert open_store(bucket_uri, tmp_path).upload(name, directory)
    assert "UploadPart" not in requests
    assert requests.count("PutObject") == 2, "release.json, after the weights, and release.sig"


def test_a_part_of_other_content_is_carried_again(
    bucket_uri: str,
    large_release: tuple[Path, str],
    key_pair: KeyPair,
    small_parts: None,
    s3: Any,
    tmp_path: Path,
) -> None:
    directory, name = large_release
    at = {"Bucket": NAME, "Key": f"of/mine/{key_of(name)}/model.safetensors"}
    begun = s3.create_multipart_upload(**at)["UploadId"]
    s3.upload_part(**at, UploadId=begun, PartNumber=1, Body=bytes(5 * MIB))
    store = open_store(bucket_uri, tmp_path)
    assert store.upload(name, directory)
    verify_release(store.fetch(name), key_pair.public, expect=name)


def test_of_two_writers_of_a_release_one_is_told_that_it_was_there(
    bucket_uri: str, large_release: tuple[Path, str], key_pair: KeyPair, small_parts: None, tmp_path: Path
) -> None:
    directory, name = large_release
    stores = [open_store(bucket_uri, tmp_path / str(number)) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda store: store.upload(name, directory), stores))
    assert sorted(told) == [False, False, False, True]
    verify_release(stores[0].fetch(name), key_pair.public, expect=name)
