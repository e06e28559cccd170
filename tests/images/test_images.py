"""`make image` and `make mirror` after the registry is there. The registry is moto's, the tool that builds a script."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml

import tests.aws_sdk  # noqa: F401 loads it
from images import __main__ as images
from images.tools import Tool
from stacks import stack_file
from tests.components.aws.test_pushed_image import MANIFEST
from tests.moto_account import moto_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STACK = "s2-cloud-training"
HOST = "000000000000.dkr.ecr.eu-central-1.amazonaws.com"
IMAGE = f"{HOST}/{STACK}/scenario-model:0.1.0"
MIRRORED = {
    "jobset/jobset:v0.12.0",
    "kueue/kueue:v0.19.2",
    "autoscaling/cluster-autoscaler:v1.35.0",
    "nvidia/k8s-device-plugin:v0.19.3",
    "nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-distroless",
}


@dataclass
class Noting:
    """A tool that notes what it is asked for."""

    asked: list[str] = field(default_factory=list)

    def login(self, registry: str, user: str, _token: str) -> None:
        self.asked.append(f"login {user} {registry}")

    def build(self, context: Path, file: Path, image: str, arguments: dict[str, str]) -> None:
        self.asked.append(f"build {file.relative_to(context)} {image} {arguments}")

    def push(self, image: str) -> None:
        self.asked.append(f"push {image}")

    def copy(self, image: str, to: str, architecture: str) -> None:
        self.asked.append(f"copy {image} {to} {architecture}")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Noting:
    noting = Noting()

    @contextlib.contextmanager
    def found() -> Iterator[Noting]:
        yield noting

    monkeypatch.setattr(images, "found", found)
    methods = {name for name in vars(Noting) if not name.startswith("_")} - {"asked"}
    assert methods <= set(vars(Tool)), "it stands in for a Tool"
    return noting


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """ECR of the account of the stack's file."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", "000000000000")
    with moto_account(monkeypatch):
        yield boto3.client("ecr", region_name="eu-central-1")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Run a command on the shipped file, with changes."""
    shipped = yaml.safe_load((Path(stack_file.__file__).parent / f"Pulumi.{STACK}.yaml").read_text())

    def command(what: str, *more: str, **changes: Any) -> None:
        config = shipped["config"] | {name.replace("__", ":"): value for name, value in changes.items()}
        (tmp_path / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": config}))
        monkeypatch.setattr(images, "configuration_of_file", lambda name: read(name, tmp_path))
        monkeypatch.setattr(sys, "argv", ["images", what, STACK, *more])
        images.main()

    read = stack_file.configuration_of_file
    return command


def test_the_image_that_the_stack_names_is_built_and_pushed_once(
    run: Callable[..., None], tool: Noting, account: Any
) -> None:
    account.create_repository(repositoryName=f"{STACK}/scenario-model")
    run("build", "--base", "mirror/python:3.13")
    built = f"build model/Containerfile {IMAGE} {{'BASE': 'mirror/python:3.13'}}"
    assert tool.asked == [f"login AWS {HOST}", built, f"push {IMAGE}"], "the base may be in the registry, too"
    account.put_image(repositoryName=f"{STACK}/scenario-model", imageManifest=MANIFEST, imageTag="0.1.0")
    tool.asked.clear()
    run("build")
    assert tool.asked == []


LARGE = {"instance_type": "p5.48xlarge", "maximum": 2}
OF_EFA = "build images/efa.Containerfile localhost/scenario-model-efa"


@pytest.mark.parametrize(
    ("nodes", "pods", "more", "first"),
    [
        (LARGE, 2, [], f"{OF_EFA} {{}}"),
        (LARGE, 1, [], None),
        (LARGE | {"efa": True}, 1, [], f"{OF_EFA} {{}}"),
        (LARGE | {"efa": False}, 2, [], None),
        (LARGE | {"instance_type": "g6.2xlarge"}, 2, [], None),
        (LARGE | {"instance_type": "g6.2xlarge"}, 2, ["--efa=yes"], f"{OF_EFA} {{}}"),
        (LARGE, 2, ["--efa=no", "--base=mine", "--efa-sources=mirror"], None),
        (
            LARGE,
            2,
            ["--base=mine", "--efa-sources=mirror"],
            f"{OF_EFA} {{'BASE': 'mine', 'EFA_SOURCES': 'mirror'}}",
        ),
    ],
)
def test_the_image_is_built_on_one_with_efa_exactly_if_nodes_use_it_or_the_user_says_so(
    nodes: dict[str, Any],
    pods: int,
    more: list[str],
    first: str | None,
    run: Callable[..., None],
    tool: Noting,
    account: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    account.create_repository(repositoryName=f"{STACK}/scenario-model")
    changes = {"model-deployment-scenarios__training": {"image": IMAGE, "pods": pods}, "cloud__nodes": nodes}
    run("build", *more, **changes)
    base = "localhost/scenario-model-efa" if first else "mine" if "--base=mine" in more else None
    then = f"build model/Containerfile {IMAGE} { ({'BASE': base} if base else {}) }"
    assert [each for each in tool.asked if each.startswith("build")] == ([first] if first else []) + [then]
    assert f"building {IMAGE} {'with' if first else 'without'} EFA" in capsys.readouterr().err


def test_nodes_that_cannot_have_efa_are_named_before_anything_is_built(
    run: Callable[..., None], tool: Noting, account: Any
) -> None:
    with pytest.raises(SystemExit, match=r"cloud:nodes\.efa is true, but g6\.2xlarge has no EFA"):
        run("build", cloud__nodes={"instance_type": "g6.2xlarge", "maximum": 2, "efa": True})
    assert tool.asked == []


def test_images_of_others_are_copied_to_where_the_stack_pulls_them_from_and_only_those_that_are_missing(
    run: Callable[..., None], tool: Noting, account: Any
) -> None:
    for each in MIRRORED:
        account.create_repository(repositoryName=f"{STACK}/{each.rpartition(':')[0]}")
    account.put_image(repositoryName=f"{STACK}/kueue/kueue", imageManifest=MANIFEST, imageTag="v0.19.2")
    run("mirror", cloud__nat=False, cloud__registry=f"{HOST}/{STACK}")
    copied = {tuple(each.split(" ")[1:]) for each in tool.asked if each.startswith("copy")}
    assert {to for _, to, _ in copied} == {
        f"{HOST}/{STACK}/{each}" for each in MIRRORED - {"kueue/kueue:v0.19.2"}
    }
    assert {source.partition("/")[0] for source, _, _ in copied} == {"registry.k8s.io", "nvcr.io"}
    tool.asked.clear()
    run("mirror", cloud__registry=f"{HOST}/{STACK}", cloud__system_nodes={"instance_type": "m7g.large"})
    told = {tuple(each.split(" ")[1:]) for each in tool.asked if each.startswith("copy")}
    assert {source.partition("/")[0]: processors for source, _, processors in told} == {
        "registry.k8s.io": "arm64",
        "nvcr.io": "amd64",
    }


@pytest.mark.parametrize(
    ("what", "changes", "said"),
    [
        ("build", {}, f"{HOST} has no repository for {IMAGE}; the stack makes it: make image"),
        (
            "build",
            {"model-deployment-scenarios__training": {"image": "mine.example/model:1", "pods": 2}},
            "training.image is mine.example/model:1, which is not in the account's own registry",
        ),
        (
            "build",
            {"model-deployment-scenarios__training": {"image": f"{HOST}/team/model:1", "pods": 2}},
            f"name it {HOST}/{STACK}/scenario-model:TAG",
        ),
        (
            "build",
            {"model-deployment-scenarios__training": {"image": f"{HOST}/{STACK}/scenario-model", "pods": 2}},
            f"name it {HOST}/{STACK}/scenario-model:TAG",
        ),
        ("mirror", {}, f"cloud:registry is not set; set it to {HOST}/{STACK}"),
        ("build", {"aws__region": "mars"}, "there is no AWS region 'mars'"),
        ("build", {"cloud__zonez": 1}, "unknown key 'cloud:zonez'"),
    ],
)
def test_what_cannot_be_is_one_line(
    what: str, changes: dict[str, Any], said: str, run: Callable[..., None], tool: Noting, account: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(what, **changes)
    assert said in str(ended.value)
    assert "\n" not in str(ended.value)
    assert tool.asked == []
