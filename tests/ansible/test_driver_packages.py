"""What apt makes of the role's names and pin, where the repository has two branches of the driver, as NVIDIA's has.

The packages are stanzas with the names and the exact dependencies of NVIDIA's repository for Debian; nothing is
installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from tests.ansible.apt_root import AptRoot, Package
from tests.ansible.conftest import PLAYBOOKS
from tests.ansible.role_templates import evaluate, template

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

OLD, NEW = "580.105.08", "595.84"
_DRIVER = "nvidia-graphics-drivers"
# name: source package, dependencies. V is the version, exactly.
DRIVER = {
    "nvidia-open": ("", "nvidia-kernel-open-dkms (= V), nvidia-driver (= V)"),
    "cuda-drivers": ("", "nvidia-kernel-dkms (= V), nvidia-driver (= V)"),
    "nvidia-driver": (
        _DRIVER,
        "nvidia-driver-libs (= V), xserver-xorg-video-nvidia (= V), nvidia-driver-cuda (= V)",
    ),
    "nvidia-driver-libs": (_DRIVER, "libglx-nvidia0 (= V), libnvidia-ml1 (= V), firmware-nvidia-gsp (= V)"),
    "nvidia-driver-cuda": (_DRIVER, "libcuda1 (= V), libnvcuvid1 (= V), libnvidia-ml1 (= V)"),
    "nvidia-kernel-open-dkms": (_DRIVER, "firmware-nvidia-gsp (= V)"),
    "nvidia-kernel-dkms": (_DRIVER, "firmware-nvidia-gsp (= V)"),
    "firmware-nvidia-gsp": (_DRIVER, ""),
    "xserver-xorg-video-nvidia": (_DRIVER, "libnvidia-ml1 (= V), libglx-nvidia0 (= V)"),
    "libglx-nvidia0": (_DRIVER, "libcuda1 (= V)"),
    "libcuda1": (_DRIVER, "libnvidia-ml1 (= V)"),
    "libnvcuvid1": (_DRIVER, "libcuda1 (= V)"),
    "libnvidia-ml1": (_DRIVER, ""),
    "nvidia-modprobe": ("nvidia-modprobe", ""),
    "nvidia-persistenced": ("nvidia-persistenced", "libnvidia-cfg1 (= V)"),
    "libnvidia-cfg1": (_DRIVER, ""),
    "nvidia-fabricmanager": ("fabricmanager", ""),
    "libnvsdm": ("", ""),
}
OTHERS = [
    Package(name="nvlsm", version="2025.10.3-1"),
    Package(name="infiniband-diags", version="44.0-2"),
    Package(name="zstd", version="1.5.4-1"),
    Package(name="linux-headers-6.1.0-28-amd64", version="6.1.119-1"),
]


def branch(version: str) -> list[Package]:
    """The driver's packages at a version."""
    full = f"{version}-1"
    return [
        Package(name=name, version=full, source=source, depends=depends)
        for name, (source, depends) in DRIVER.items()
    ]


def names(version: str, *, module: str = "open", fabric: str = "none") -> list[str]:
    """The names that the role installs, as its own expression makes them."""
    found = {"module": module, "fabric": fabric, "kernels": ["6.1.0-28-amd64"]}
    return list(
        evaluate("gpu_driver", "gpu_driver_names", gpu_driver_found=found, gpu_driver_version=version)
    )


def pin(version: str) -> str:
    """The role's preferences."""
    return template("gpu_driver", "pin.j2", gpu_driver_version=version)


def root(
    folder: Path, version: str, *, installed: list[Package] | None = None, offered: tuple[str, ...]
) -> AptRoot:
    packages = [package for each in offered for package in branch(each)]
    return AptRoot(folder, [*packages, *OTHERS], installed=installed or [], preferences=pin(version))


@pytest.mark.parametrize("fabric", ["none", "switches", "subnet"])
@pytest.mark.parametrize("module", ["open", "proprietary"])
def test_the_whole_driver_has_the_version_where_a_newer_branch_is_offered(
    tmp_path: Path, fabric: str, module: str
) -> None:
    told = root(tmp_path, OLD, offered=(OLD, NEW)).install(*names(OLD, module=module, fabric=fabric))
    assert isinstance(told, dict), told
    assert {name: version for name, version in told.items() if name in DRIVER and version != f"{OLD}-1"} == {}
    assert {
        "firmware-nvidia-gsp",
        "libcuda1",
        "libnvcuvid1",
        "nvidia-modprobe",
        "nvidia-persistenced",
    } <= told.keys()
    assert {"nvlsm", "libnvsdm", "infiniband-diags"} <= told.keys() or fabric != "subnet"


def test_an_upgrade_of_the_host_leaves_every_package_of_the_driver(tmp_path: Path) -> None:
    told = root(tmp_path, OLD, installed=branch(OLD), offered=(OLD, NEW)).upgrade()
    assert told == {}


def test_another_version_replaces_the_driver_up_and_down(tmp_path: Path) -> None:
    for number, (before, after) in enumerate([(OLD, NEW), (NEW, OLD)]):
        place = root(tmp_path / str(number), after, installed=branch(before), offered=(OLD, NEW))
        told = place.install("--allow-downgrades", *names(after))
        assert isinstance(told, dict), told
        assert told["libcuda1"] == told["firmware-nvidia-gsp"] == f"{after}-1"


def test_a_version_that_another_one_begins_with_is_not_that_one(tmp_path: Path) -> None:
    told = root(tmp_path, "595.8", offered=("595.8", "595.84")).install(*names("595.8"))
    assert isinstance(told, dict), told
    assert told["nvidia-open"] == "595.8-1"


def test_a_version_without_its_last_part_is_refused_by_name(
    tmp_path: Path, module: Callable[[str], ModuleType]
) -> None:
    told = root(tmp_path, "580.105", offered=(OLD,)).install(*names("580.105"))
    assert "Version '580.105-*' for 'nvidia-open' was not found" in told
    missing = module("debian_packages").missing
    assert missing(["nvidia-open=580.105-*"], {"nvidia-open": f"{OLD}-1"}) == ["nvidia-open=580.105-*"]


def test_the_held_packages_are_those_of_the_pin_and_the_exporters(
    module: Callable[[str], ModuleType],
) -> None:
    patterns = yaml.safe_load((PLAYBOOKS / "roles/base/defaults/main.yml").read_text())["base_held_packages"]
    installed = {name: source or name for name, (source, _) in DRIVER.items()}
    installed |= {
        "datacenter-gpu-manager-exporter": "dcgm-exporter",
        "datacenter-gpu-manager-4-core": "dcgm",
        "nvlsm": "nvlsm",
    }
    assert module("held_packages").fitting(installed | {"curl": "curl"}, patterns) == installed.keys()


def test_packages_are_held_once_all_are_installed() -> None:
    tasks = yaml.safe_load((PLAYBOOKS / "tasks/prepare_host.yml").read_text())
    roles = [task["ansible.builtin.include_role"] for task in tasks]
    order = [role["name"] for role in roles if role.get("tasks_from") != "look"]
    assert max(order.index("gpu_driver"), order.index("monitoring")) < order.index("base")
