"""Stacks have names of their own: a new one's file keeps it apart from the others."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cli import CliError, stack_files
from cli.stack_files import add_stack, find_scenario
from stacks.scenarios import ScenarioError
from stacks.settings.read import PROJECT
from stacks.stack_file import content_of, scenario_of_file

if TYPE_CHECKING:
    from typing import Any

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stacks' files of this tree, in a folder of their own."""
    for file in (ROOT / "stacks").glob("Pulumi.*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    monkeypatch.setattr(stack_files, "FOLDER", tmp_path)
    return tmp_path


def config(file: Path) -> dict[str, Any]:
    found = yaml.safe_load(file.read_text())["config"]
    assert isinstance(found, dict)
    return found


def test_a_new_stack_has_folder_and_port_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.stack_files._is_free", lambda port: port)  # of other stacks' files alone
    with (folder / "Pulumi.s3-local.yaml").open("a") as file:
        file.write("encryptionsalt: v1:abc:v1:def\n")
    assert add_stack("plant-7", "s3-local")
    assert add_stack("plant-8", "s3-local")
    seventh, eighth = (config(folder / f"Pulumi.plant-{number}.yaml") for number in (7, 8))
    assert seventh[f"{PROJECT}:scenario"] == "s3-local"
    assert seventh["premises:root"] == ".state/plant-7/premises"
    assert [each[f"{PROJECT}:serving"]["port"] for each in (seventh, eighth)] == [8445, 8446]
    text = (folder / "Pulumi.plant-7.yaml").read_text()
    assert "encryptionsalt" not in text
    assert "docs/s3-local.md" in text, "comments are the scenario's"
    assert scenario_of_file("plant-7", folder).name == "s3-local"


def test_a_new_stack_takes_no_port_that_another_checkouts_stack_has(folder: Path) -> None:
    file = folder / "Pulumi.s3-local.yaml"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        file.write_text(re.sub(r"port: \d+", f"port: {port - 1}", file.read_text()))
        assert add_stack("plant-7", "s3-local")
    assert config(folder / "Pulumi.plant-7.yaml")[f"{PROJECT}:serving"]["port"] > port


def test_what_a_cloud_stack_names_after_itself_is_named_after_the_new_one(folder: Path) -> None:
    assert add_stack("s2-dev", "s2-cloud-training")
    made = config(folder / "Pulumi.s2-dev.yaml")
    assert made["aws:defaultTags"] == {"tags": {"scenario:stack": "s2-dev"}}
    assert "/s2-dev/scenario-model:" in made[f"{PROJECT}:training"]["image"]


def test_a_file_that_is_there_is_left_alone(folder: Path) -> None:
    before = (folder / "Pulumi.s3-local.yaml").read_text()
    assert not add_stack("s3-local", "s3-local")
    assert (folder / "Pulumi.s3-local.yaml").read_text() == before


@pytest.mark.parametrize(
    ("stack", "scenario", "said"),
    [
        ("../out", "s3-local", "invalid stack name '../out'"),
        ("plant-7", "s3", "'s3' is not a scenario; use one of s1-local-serving"),
    ],
)
def test_what_cannot_be_a_stack_is_refused(folder: Path, stack: str, scenario: str, said: str) -> None:
    with pytest.raises(CliError, match=said):
        add_stack(stack, scenario)


def test_a_stack_without_a_file_is_told_how_to_get_one(folder: Path) -> None:
    remedy = r"make up STACK=plant-7 SCENARIO=s3-local`, or use one of the stacks s1-local-serving, s2-"
    with pytest.raises(CliError, match=remedy):
        find_scenario("plant-7")


@pytest.mark.parametrize(
    ("text", "said"),
    [("config: {}\n", "scenario is not set"), ("config: [", r"Pulumi\.plant-7\.yaml: unreadable")],
)
def test_a_file_that_names_no_scenario_is_named(folder: Path, text: str, said: str) -> None:
    (folder / "Pulumi.plant-7.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=said):
        scenario_of_file("plant-7", folder)


def test_a_file_that_is_no_text_is_named_with_what_to_do(folder: Path) -> None:
    (folder / "Pulumi.s3-local.yaml").write_bytes(b"config:\n  a: \xc2\n")
    for command in (find_scenario, stack_files.is_on_aws, lambda stack: add_stack("plant-7", stack)):
        with pytest.raises(CliError, match=r"stacks/Pulumi\.s3-local\.yaml cannot be read: .*; restore it"):
            command("s3-local")


@pytest.mark.parametrize("content", [b"config: [aws\n", b"\tconfig: {}\n", b"a: \xc2", b"- a list\n"])
def test_a_file_that_is_no_settings_is_named_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "Pulumi.one.yaml").write_bytes(content)
    with pytest.raises(ScenarioError, match=r"^stacks/Pulumi\.one\.yaml: unreadable: [^\n]+$"):
        content_of(tmp_path / "Pulumi.one.yaml")


@pytest.mark.parametrize(
    ("text", "on_aws"),
    [
        ("config:\n  aws:region: eu-central-1\n", True),
        ("config:\n  cloud:kind: aws\n", True),
        ("config:\n  cloud:kind: kubernetes\n", False),
        ("config:\n  cloud:kind: 'kubernetes'  # ours\n", False),
        ("config:\n  # cloud:kind: kubernetes\n", True),
    ],
)
def test_a_stacks_cloud_is_aws_unless_its_file_says_something_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, on_aws: bool
) -> None:
    (tmp_path / "Pulumi.plant.yaml").write_text(text)
    monkeypatch.setattr(stack_files, "FOLDER", tmp_path)
    assert stack_files.is_on_aws("plant") is on_aws
