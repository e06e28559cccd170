"""What the tests of the AWS components share."""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.aws import plugin
from tests.pulumi_project import PulumiProject, new_project

if TYPE_CHECKING:
    from lab.aws.lifecycle import Aws

# The SDK warns of deprecated types in each of its packages when that is first named; a program ignores it.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    for _package in ("budgets", "cloudwatch", "ec2", "ecr", "eks", "iam", "kms", "s3", "vpc"):
        importlib.import_module(f"pulumi_aws.{_package}")._utilities  # noqa: B018 loads what is put off

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
