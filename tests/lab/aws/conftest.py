"""A stack of the real engine in the lab's AWS, by the real provider plugin where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.aws import plugin
from tests.pulumi_project import PulumiProject, new_project

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws


@pytest.fixture
def stack(tmp_path: Path, pulumi_engine: Path, aws: Aws) -> PulumiProject:
    """A stack that is not up yet, configured as a user would for the lab."""
    return cloud_project(tmp_path, pulumi_engine, aws)


def cloud_project(above: Path, engine: Path, aws: Aws) -> PulumiProject:
    """The program of a small cloud, in a lab's AWS."""
    ahead = plugin.stand_in(above)
    project = new_project(Path(__file__).parent / "project", above, engine, *([ahead] if ahead else []))
    configuration = plugin.stack_configuration(aws.endpoint) | {
        "aws:defaultTags": json.dumps({"tags": {"project": "lab"}})
    }
    lines = [f"  {name}: {json.dumps(value)}" for name, value in configuration.items()]
    file = project.path / "Pulumi.test.yaml"
    file.write_text(file.read_text() + "config:\n" + "\n".join(lines) + "\n")
    return project
