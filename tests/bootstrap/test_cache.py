"""Two runs never make the same thing at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from bootstrap.cache import exclusive

ROOT = Path(__file__).parents[2]


def test_a_second_run_waits_for_the_first_and_says_so(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    program = (
        "import sys; from pathlib import Path; from bootstrap.cache import exclusive\n"
        "with exclusive(Path(sys.argv[1]), 'building the engine'): print('mine')"
    )
    with exclusive(lock, "building the engine"):
        second = subprocess.Popen(
            [sys.executable, "-c", program, str(lock)],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert second.stderr is not None
        assert (
            second.stderr.readline() == f"waiting for process {os.getpid()}, which is building the engine\n"
        )
        time.sleep(0.2)
        assert second.poll() is None
    out, _ = second.communicate(timeout=10)
    assert out == "mine\n"


def test_a_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    program = (
        "import os, sys; from pathlib import Path; from bootstrap.cache import exclusive\n"
        "with exclusive(Path(sys.argv[1]), 'x'): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(lock)], cwd=ROOT).returncode == -9
    with exclusive(lock, "x"):
        assert lock.read_text() == str(os.getpid())
