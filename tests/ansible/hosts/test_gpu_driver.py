"""The driver's role on a host without a GPU, and on one that pretends to have some.

Packages, nvidia-smi and sysfs are made up here: what is shown is what the role does with them, not that
NVIDIA's driver works. That was never tried on a host with a GPU.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.ansible.hosts.conftest import on, traces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.premises.host import Host
    from tests.ansible.hosts.conftest import Site

# `make test` has no host for it: tests/ansible/test_gpu_driver.py, test_driver_packages.py.
pytestmark = pytest.mark.soak

VERSION = "580.105.08"
SMI = f"""#!/bin/sh
case "$1" in
*fabric*)
    if [ -e /run/fabric-slow ]; then rm /run/fabric-slow; echo "In Progress, N/A"; else echo "Completed, Success"; fi
    if [ -e /run/fabric-stuck ]; then echo "Completed, Initialization Failure"; fi ;;
--query*) [ -e /run/gpu-lost ] || echo {VERSION}; echo {VERSION} ;;
esac
"""
MODPROBE = '#!/bin/sh\necho "$*" > /run/nvidia-modprobe\n'
UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


def package(folder: Path, name: str, version: str, files: dict[str, str], depends: str = "") -> None:
    """Build a .deb."""
    tree = folder / name
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
        (tree / path).chmod(0o755)
    (tree / "DEBIAN").mkdir(parents=True)
    fields = {"Package": name, "Version": version, "Architecture": "all", "Maintainer": "t <t@example.com>"}
    fields |= {"Description": "made up for a test"} | ({"Depends": depends} if depends else {})
    (tree / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    subprocess.run(
        ["dpkg-deb", "--build", tree, folder / f"{name}_{version}.deb"], check=True, capture_output=True
    )


def pretend(host: Host, *, loaded: str) -> None:
    """Make a tree that looks like two H100 behind an NVSwitch, with a driver that is loaded or not."""
    lines = ["rm -rf /srv/pretended"]
    for number, (device, kind) in enumerate([(0x2330, 0x030200), (0x2330, 0x030200), (0x22A3, 0x068000)]):
        entry = f"/srv/pretended/sys/bus/pci/devices/0000:{number:02x}:00.0"
        lines += [f"mkdir -p {entry}", f"echo 0x10de > {entry}/vendor"]
        lines += [f"echo {device:#06x} > {entry}/device", f"echo {kind:#08x} > {entry}/class"]
    if loaded:
        where = "/srv/pretended/proc/driver/nvidia"
        told = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {loaded}  Release Build"
        lines += [f"mkdir -p {where}", f"echo {shlex.quote(told)} > {where}/version"]
    on(host, f"sudo sh -ec {shlex.quote('; '.join(lines))}")


@pytest.fixture(scope="module")
def driven(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The first host with made-up GPUs, after the role."""
    host, folder = site.hosts[0], tmp_path_factory.mktemp("packages")
    package(
        folder, "nvidia-open", f"{VERSION}-1", {"usr/bin/nvidia-smi": SMI}, f"libnvidia-x (= {VERSION}-1)"
    )
    package(folder, "libnvidia-x", f"{VERSION}-1", {})
    package(folder, "libnvidia-x2", "590.1-1", {})
    package(folder, "nvidia-modprobe", f"{VERSION}-1", {"usr/bin/nvidia-modprobe": MODPROBE})
    for name in ("nvidia-fabricmanager", "nvidia-persistenced"):
        package(folder, name, f"{VERSION}-1", {f"lib/systemd/system/{name}.service": UNIT})
    site.variables |= {"packages_folder": str(folder), "gpu_driver_version": VERSION}
    site.variables |= {"gpu_driver_headers": [], "gpu_driver_root": "/srv/pretended"}
    on(host, "sudo mkdir -p /etc/modprobe.d")  # the lab's hosts have no kernel of their own, so no kmod
    pretend(host, loaded=VERSION)
    clean = traces(host)
    foreseen = site.play("gpu_driver", limit=host, check=True).changed
    assert traces(host) == clean, "a check changes nothing"
    ran = site.play("gpu_driver", limit=host).changed
    # What runs can be seen when the packages are there, not before.
    units = [
        "Load the modules and make the devices",
        "Keep the driver initialized",
        "Run the GPU switch services",
    ]
    assert ran == [*foreseen, *units]
    yield host
    site.play("gpu_driver", limit=host, reset=True)
    assert traces(host) == clean
    for name in [name for name in site.variables if name.startswith(("gpu_", "packages_"))]:
        del site.variables[name]


def test_driver_fabric_manager_and_pin_are_there_and_stay(driven: Host, site: Site) -> None:
    shown = on(driven, "dpkg-query --show --showformat '${Package}=${Version}\n' '*nvidia*'")
    names = ("libnvidia-x", "nvidia-fabricmanager", "nvidia-modprobe", "nvidia-open", "nvidia-persistenced")
    assert shown.split() == [f"{name}={VERSION}-1" for name in names]
    for unit in ("nvidia-fabricmanager", "nvidia-persistenced", "scenario-gpu-devices"):
        assert on(driven, f"systemctl is-active {unit}; systemctl is-enabled {unit}").split() == [
            "active",
            "enabled",
        ]
    assert on(driven, "cat /run/nvidia-modprobe") == "-c 0 -u"
    assert f"Pin: version {VERSION}-*" in on(driven, "cat /etc/apt/preferences.d/scenario-gpu")
    blocked = on(driven, "cat /etc/modprobe.d/scenario-no-nouveau.conf").split()
    assert {"nouveau", "nova_core", "nova_drm"} <= set(blocked)
    assert site.play("gpu_driver", limit=driven).changes() == 0


def test_a_gpu_that_the_driver_does_not_show_fails_the_host(driven: Host, site: Site) -> None:
    on(driven, "sudo touch /run/gpu-lost")
    try:
        ran = site.play("gpu_driver", limit=driven, succeeds=False)
    finally:
        on(driven, "sudo rm /run/gpu-lost")
    assert ran.code
    said = " ".join(ran.output.split())
    assert f"has 2 GPUs that should run driver {VERSION}; nvidia-smi lists {VERSION}: see" in said


def test_the_fabric_is_waited_for(driven: Host, site: Site) -> None:
    on(driven, "sudo touch /run/fabric-slow")
    assert site.play("gpu_driver", limit=driven).changes() == 0
    on(driven, "sudo touch /run/fabric-stuck")
    try:
        ran = site.play("gpu_driver", limit=driven, succeeds=False, gpu_driver_fabric_seconds=5)
    finally:
        on(driven, "sudo rm /run/fabric-stuck")
    said = " ".join(ran.output.split())
    assert "after 5 s the GPUs have not joined their fabric: nvidia-smi says Completed, Success; " in said
    assert "Completed, Initialization Failure; see `journalctl -u nvidia-fabricmanager`" in said


def test_a_reboot_that_is_not_permitted_is_refused_before_anything_is_changed(
    driven: Host, site: Site
) -> None:
    before, started = traces(driven), on(driven, "stat -c %Y /proc/1")
    ran = site.play("gpu_driver", limit=driven, succeeds=False, gpu_driver_version="590.1")
    assert ran.code
    said = " ".join(ran.output.split())
    assert f"needs a reboot: driver {VERSION} is loaded, 590.1 is wanted; nothing was changed." in said
    assert ran.changes() == 0
    assert traces(driven) == before
    assert on(driven, "stat -c %Y /proc/1") == started


@pytest.mark.parametrize("gpu", [False, True])
def test_a_command_runs_with_the_rights_of_a_service(driven: Host, site: Site, gpu: bool) -> None:
    program = (
        "print(*[line for line in open('/proc/self/status') if line.startswith(('NoNewPrivs', 'CapEff'))])"
    )
    variables: dict[str, Any] = {
        "premises_manager": "system",
        "premises_service_user": "daemon",
        "service_writable": [],
    }
    variables |= {"premises_look": {"nvidia": gpu}, "service_command": ["python3", "-c", program]}
    role = {"ansible.builtin.include_role": {"name": "service", "tasks_from": "probe"}, "vars": variables}
    show = {"ansible.builtin.debug": {"msg": "{{ service_probe.stdout }} {{ service_probe.stderr }}"}}
    play = {"hosts": "premises", "gather_facts": False, "tasks": [role, show]}
    (site.folder / "probe.yml").write_text(yaml.safe_dump([play]))
    said = site.run(str(site.folder / "probe.yml"), limit=driven).output
    assert re.search(r"NoNewPrivs:\W+t?1", said), said
    assert re.search(r"CapEff:\W+t?0{16}", said), said


def test_a_host_without_a_gpu_goes_on_with_its_cpu(fresh: Host, site: Site) -> None:
    before = traces(fresh)
    ran = site.play("gpu_driver", limit=fresh, gpu_driver_root="/")
    assert f"{fresh.name} has no NVIDIA GPU: continuing with its CPU" in " ".join(ran.output.split())
    assert ran.changes() == 0
    assert traces(fresh) == before
