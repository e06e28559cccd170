"""The empty room: what the engine and its plugins reach, write and are told, by tracing a real preview."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.cache import cache_folder
from previews import PreviewError
from previews.__main__ import preview

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
_WRITES = re.compile(r'openat\([^,]+, "([^"]+)", [^)]*(?:O_WRONLY|O_RDWR|O_CREAT)')
_LOOPBACK = re.compile(r'"(?:::ffff:)?127\.0\.0\.1"|"::1"')
# Of the system; beside them, the lock of this project's own cache.
_FINE = ("/dev/", "/proc/", "/sys/", "/var/lib/libuuid/")


def test_a_preview_reaches_no_network_and_writes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not here: apt-get install strace")
    trace, out = tmp_path / "trace", tmp_path / "out"
    (tmp_path / "tmp").mkdir()
    planted = {
        "TMPDIR": str(tmp_path / "tmp"),
        "AWS_SECRET_ACCESS_KEY": "planted-secret",
        "PULUMI_CONFIG_PASSPHRASE": "planted-secret",
    }
    done = subprocess.run(
        [
            *(strace, "-f", "-qq", "-s", "300", "-e", "trace=connect,openat,execve", "-v", "-o", trace),
            *(sys.executable, "-B", "-m", "previews", "s3-local", "--out", out),
        ],
        cwd=ROOT,
        env={**os.environ, **planted, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    assert len(lines) > 1_000
    called = [
        line for line in lines if "connect(" in line and "AF_INET" in line and not _LOOPBACK.search(line)
    ]
    assert called == []
    written = {found[1] for line in lines if (found := _WRITES.search(line))}
    fine = (*_FINE, str(tmp_path), str(cache_folder()))
    outside = {each for each in written if each.startswith("/") and not each.startswith(fine)}
    assert outside == set()
    started = [line for line in lines if "execve(" in line and "ansible-playbook" in line]
    assert started == []
    engine = [line for line in lines if "execve(" in line and '"preview"' in line]
    assert engine
    assert not [line for line in engine if "planted-secret" in line]
    assert sorted(each.name for each in out.iterdir()) == ["changes.json", "comment.md", "review.json"]


def test_an_unknown_stack_and_a_state_that_is_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(PreviewError, match="no such stack: nobody; use one of s1-local-serving"):
        preview(["nobody"], base="", states=None, out=tmp_path)
    (tmp_path / "s3-local.json").write_text("{}")
    with pytest.raises(PreviewError, match="is no stack's state; write it with `pulumi stack export"):
        preview(["s3-local"], base="", states=tmp_path, out=tmp_path / "out")
    with pytest.raises(PreviewError, match=r"git cannot diff: .*no-such-commit"):
        preview([], base="no-such-commit", states=None, out=tmp_path / "out")
