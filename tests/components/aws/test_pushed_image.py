"""The training image is asked for before a node starts for it. The registry is moto's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest

from components.aws import pushed_image
from components.aws.location import Location
from components.aws.pushed_image import PushedImageProvider, is_in
from components.errors import CloudError
from tests.moto_account import moto_account

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Location(account="123456789012", region="eu-central-1", zones=("eu-central-1a", "eu-central-1b"))
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/json", "size": 2, "digest": f"sha256:{'a' * 64}"},
        "layers": [],
    }
)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider settles in a process of its own: it would take the tracebacks from this one."""
    monkeypatch.setattr(pushed_image, "settle_in", lambda: None)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A repository with an image; its digest."""
    with moto_account(monkeypatch):
        ecr = boto3.client("ecr", region_name="eu-central-1")
        ecr.create_repository(repositoryName="s2/scenario-model")
        put = ecr.put_image(repositoryName="s2/scenario-model", imageManifest=MANIFEST, imageTag="0.1.0")
        yield put["image"]["imageId"]["imageDigest"]


def asked(image: str) -> str:
    outs = PushedImageProvider().create({"image": image, "remedy": "push it"}).outs
    assert outs
    return str(outs["digest"])


def test_an_image_that_is_there_has_a_digest_by_tag_and_by_digest(pushed: str) -> None:
    assert asked(f"{REGISTRY}/s2/scenario-model:0.1.0") == pushed
    assert asked(f"{REGISTRY}/s2/scenario-model@{pushed}") == pushed
    assert asked(f"{REGISTRY}/s2/scenario-model:0.1.0@{pushed}") == pushed


@pytest.mark.parametrize(
    "image",
    ["s2/scenario-model:0.2.0", "s2/scenario-model", f"s2/scenario-model@sha256:{'b' * 64}", "s2/other:1"],
)
def test_one_that_is_not_there_is_refused_with_the_remedy(pushed: str, image: str) -> None:
    with pytest.raises(
        CloudError,
        match=r"is not in the registry yet, so no training node was started; push it; then go on: make up",
    ):
        asked(f"{REGISTRY}/{image}")


def test_another_image_is_asked_for_anew_and_the_same_is_not() -> None:
    provider = PushedImageProvider()
    assert provider.diff("one", {"image": "a:1"}, {"image": "a:2"}).replaces == ["image"]
    assert not provider.diff("one", {"image": "a:1"}, {"image": "a:1"}).changes


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        (f"{REGISTRY}/s2/scenario-model:0.1.0", True),
        ("210987654321.dkr.ecr.eu-central-1.amazonaws.com/s2:1", False),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/s2:1", False),
        ("registry.example.com/scenario-model:0.1.0", False),
    ],
)
def test_only_the_accounts_own_registry_is_asked(image: str, ours: bool) -> None:
    assert is_in(HERE, image) is ours
