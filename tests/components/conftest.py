"""A stack of the real engine: a tiny project whose playbooks take a second each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pulumi_project import PASSPHRASE, ROOT, PulumiProject, new_project

__all__ = ["PASSPHRASE", "ROOT", "Project"]


class Project(PulumiProject):
    """A project that deploys to a folder of its own."""

    @property
    def premises(self) -> Path:
        return self.path / "premises"


@pytest.fixture
def project(tmp_path: Path, pulumi_engine: Path) -> Project:
    """A stack that is not up yet."""
    made = new_project(Path(__file__).parent / "project", tmp_path, pulumi_engine)
    return Project(made.path, made.environment)
