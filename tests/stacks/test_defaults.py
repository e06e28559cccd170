"""Which defaults of `s2-cloud-training` are run: the shipped file's kinds, in the lab, but for those named here."""

from __future__ import annotations

from pathlib import Path

import yaml

import tests.aws_sdk  # noqa: F401 loads it
from scenario_model.describe import settings_of
from stacks.s2_cloud_training import Settings
from stacks.settings.read import PROJECT
from tests.end_to_end import shipped

FILE = Path(__file__).parents[2] / "stacks" / "Pulumi.s2-cloud-training.yaml"
KINDS = {"", "aws", "bucket", "python-reference"}
"""What the shipped file chooses."""
ELSEWHERE = {
    "kubernetes": "tests/end_to_end/test_s2_own_cluster.py, in `make soak`: the guide's example",
    "image": "the same",
    "text": "tests/end_to_end/test_s2_cloud_training.py",
    "chat": "by the program alone: tests/model/data",
    "kms": "no default but a path",
}
"""Where other kinds are run."""
NOT_RUN = {
    "cloud.charts": "no registry of charts can be reached: the lab takes them from a folder",
    "training.environment": "the lab's AWS needs its endpoint told",
    "recipe.max_steps": "a whole pass takes minutes: the test trains for eight steps",
}
"""Defaults that no test runs, and why."""


def test_every_kind_is_run_somewhere() -> None:
    assert {each.kind for each in settings_of(Settings)} == KINDS | set(ELSEWHERE)


def test_the_lab_runs_every_default_but_for_those_that_are_named() -> None:
    config = yaml.safe_load(FILE.read_text())["config"]
    written = {name.removeprefix(f"{PROJECT}:").replace(":", ".") for name in shipped.flat(config)}
    others = shipped.FILLED_IN | shipped.CONNECTED | shipped.SHORTER
    changed = {name.removeprefix(f"{PROJECT}:").replace(":", ".") for name in others}
    defaults = {each.key for each in settings_of(Settings) if each.default and each.kind in KINDS}
    assert (defaults & changed) - written == set(NOT_RUN)
    assert len(defaults - changed - written) > 50
