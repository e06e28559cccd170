"""What the tests of the AWS components share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tests.aws_sdk  # noqa: F401 loads it
from lab.aws import plugin
from tests.pulumi_project import PulumiProject, new_project

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws

TAG = {"scenario:stack": "cloud-under-test"}
"""What the provider gives to everything, as a stack has it do."""


@pytest.fixture
def cloud(tmp_path: Path, pulumi_engine: Path, aws: Aws) -> PulumiProject:
    """A stack of all AWS components, not up yet, in the lab's AWS."""
    ahead = plugin.stand_in(tmp_path)
    project = new_project(
        Path(__file__).parent / "project", tmp_path, pulumi_engine, *([ahead] if ahead else [])
    )
    settings = plugin.stack_configuration(aws.endpoint) | {"aws:defaultTags": json.dumps({"tags": TAG})}
    lines = [f"  {name}: {json.dumps(value)}" for name, value in settings.items()]
    file = project.path / "Pulumi.test.yaml"
    file.write_text(file.read_text() + "config:\n" + "\n".join(lines) + "\n")
    return project
