"""What hosts without a GPU install instead of NVIDIA's libraries; and the balancer with its libraries."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bundle.packages import _with_libraries
from bundle.wheels import _wheel_name, _write_wheel

if TYPE_CHECKING:
    from pathlib import Path


def test_uv_installs_the_wheel_of_the_libraries_where_torch_looks_for_them(tmp_path: Path) -> None:
    wheel = tmp_path / _wheel_name()
    _write_wheel(wheel, {"nvidia/cu13/lib/libcublas.so.13": b"\x7fELF"})
    site = tmp_path / "site"
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--offline", "--no-index"]
    subprocess.run([*command, "--target", str(site), str(wheel)], check=True)
    assert (site / "nvidia/cu13/lib/libcublas.so.13").read_bytes() == b"\x7fELF"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("apt-cache"), reason="needs apt")
def test_haproxy_comes_with_its_libraries_but_not_the_hosts_own_c_library() -> None:
    names = _with_libraries()
    assert names[0] == "haproxy"
    assert any(re.match(r"liblua5", name) for name in names)
    assert any(name.startswith("libssl") for name in names)
    assert "libc6" not in names
    assert all(name.startswith("lib") for name in names[1:])
