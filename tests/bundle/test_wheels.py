"""What hosts without a GPU install instead of NVIDIA's libraries; and the balancer with its libraries."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bundle import BundleError, packages, wheels
from bundle.packages import _with_libraries
from bundle.wheels import _wheel_name, _write_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_uv_installs_the_wheel_of_the_libraries_where_torch_looks_for_them(tmp_path: Path) -> None:
    wheel = tmp_path / _wheel_name()
    _write_wheel(wheel, {"nvidia/cu13/lib/libcublas.so.13": b"\x7fELF"})
    site = tmp_path / "site"
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "install", "--offline", "--no-index"]
    subprocess.run([*command, "--target", str(site), str(wheel)], check=True)
    assert (site / "nvidia/cu13/lib/libcublas.so.13").read_bytes() == b"\x7fELF"


def test_what_is_kept_is_for_one_python_and_one_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {wheels._kept_name("a==1"), wheels._kept_name("a==2")}
    monkeypatch.setattr("sysconfig.get_platform", lambda: "linux-riscv64")
    names.add(wheels._kept_name("a==1"))
    monkeypatch.setattr("sys.version_info", SimpleNamespace(major=3, minor=99))
    names.add(wheels._kept_name("a==1"))
    assert len(names) == 4


@pytest.mark.parametrize(("tag", "fails"), [("py3-none-any", False), ("cp39-cp39-linux_x86_64", True)])
def test_a_bundle_is_installed_once_before_it_is_signed(tmp_path: Path, tag: str, fails: bool) -> None:
    wheel = tmp_path / "wheels" / f"scenario_cpu_libraries-0-{tag}.whl"
    wheel.parent.mkdir()
    _write_wheel(wheel, {"planted.py": b""})
    lock = tmp_path / "model.lock"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock.write_text(f"scenario-cpu-libraries==0 --hash=sha256:{digest}\n")
    if fails:
        with pytest.raises(BundleError, match=r"would not install on a host"):
            wheels.prove(lock, wheel.parent)
    else:
        wheels.prove(lock, wheel.parent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.lock", "wheels"], (
        "the proof leaves nothing"
    )


@pytest.mark.parametrize("bring", [packages.fetch, packages.fetch_for_hosts])
def test_debian_packages_name_the_release_that_they_are_for(
    bring: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "_has_apt", lambda: True)
    monkeypatch.setattr(packages, "_run", lambda *_: "")
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: {"VERSION_CODENAME": "trixie"})
    bring(tmp_path / "packages")
    assert (tmp_path / "packages" / "release").read_text() == "trixie\n"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("apt-cache"), reason="needs apt")
def test_haproxy_comes_with_its_libraries_but_not_the_hosts_own_c_library() -> None:
    names = _with_libraries()
    assert names[0] == "haproxy"
    assert any(re.match(r"liblua5", name) for name in names)
    assert any(name.startswith("libssl") for name in names)
    assert "libc6" not in names
    assert all(name.startswith("lib") for name in names[1:])
