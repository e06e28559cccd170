"""A command of the model package on this machine: its answer, its own words if it fails, and no key left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from components.catalogue.model_command import run
from components.errors import CloudError

ROOT = Path(__file__).parents[3]
KEY = "-----BEGIN PRIVATE KEY-----"


def test_files_are_there_for_this_user_alone_and_gone_afterwards(tmp_path: Path) -> None:
    seen: list[Path] = []

    def arguments(folder: Path) -> list[str]:
        seen.append(folder / "key.pem")
        assert (folder / "key.pem").read_text() == KEY
        assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
        return ["release", "list", "--store", str(tmp_path)]

    assert run(arguments, {"key.pem": KEY}) == {"channels": [], "releases": []}
    assert not seen[0].exists()


def test_a_command_that_fails_is_told_by_its_own_line_without_what_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(CloudError) as error:
        run(lambda folder: ["catalogue", "revoke", "No Site", "--store", str(tmp_path)], {"key.pem": KEY})
    assert "No Site" in str(error.value)
    assert "Traceback" not in str(error.value)
    assert "\n" not in str(error.value)
    assert KEY not in str(error.value)


def test_every_package_that_these_commands_import_is_locked_for_stacks_with_a_cloud() -> None:
    program = """
import importlib.metadata, sys
import scenario_model.catalogue.command, scenario_model.rollout.command, scenario_model.release.s3_store
tops = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
packages = importlib.metadata.packages_distributions()
for top in sorted(tops & set(packages)):
    print(*(each.lower().replace("_", "-") for each in packages[top]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lock = (ROOT / "requirements" / "cloud.lock").read_text()
    locked = {line.partition("==")[0] for line in lock.splitlines() if "==" in line}
    # Packages may share a name, as `google` is shared: one of them is the one.
    missing = [line for line in done.stdout.splitlines() if not locked & set(line.split())]
    assert set(missing) <= {"scenario-model", "setuptools"}
