"""No kubeconfig of a run is left behind."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cli.kubeconfigs import swept

if TYPE_CHECKING:
    from pathlib import Path

WRITES = "import tempfile; print(tempfile.mkstemp(prefix='kubeconfig')[1])"


def test_those_of_a_run_and_of_one_that_was_killed_are_removed_and_other_files_are_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    (folder / "kubeconfig-of-a-killed-run").touch()
    (folder / "socket-of-a-service").touch()

    def interrupted() -> None:
        with swept({"A": "b"}, folder) as environment:
            assert environment["A"] == "b"
            written = subprocess.run(
                [sys.executable, "-c", WRITES], env=environment, check=True, capture_output=True, text=True
            ).stdout.strip()
            assert written.startswith(f"{folder}/kubeconfig")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [each.name for each in folder.iterdir()] == ["socket-of-a-service"]
