"""The command line sets what its libraries read when they are imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("command", "own", "spins"),
    [
        ("train", {}, "1000"),
        ("evaluate", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("train", {"OMP_WAIT_POLICY": "passive"}, "0"),
        ("serve", {}, "300000"),
    ],
)
def test_training_waits_briefly_for_its_threads_unless_the_user_says_otherwise(
    command: str, own: dict[str, str], spins: str
) -> None:
    program = f"from scenario_model import cli; cli._cli.get_command(None, {command!r}); import torch"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=inherited | {"OMP_DISPLAY_ENV": "verbose"} | own,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    ).stderr
    assert f"GOMP_SPINCOUNT = '{spins}'" in told
