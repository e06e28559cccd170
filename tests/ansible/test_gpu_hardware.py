"""GPUs are found and judged by what sysfs says; here by trees of files that stand for hosts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIBRARY = Path(__file__).parents[2] / "ansible" / "library"
V100, T4, A100, H100, GH200, L40S, B200, RTX5090 = (
    *(0x1DB1, 0x1EB8, 0x20B2, 0x2330, 0x2342, 0x26B9, 0x2901, 0x2B85),
)


def add_device(
    root: Path, device: int, *, kind: int = 0x030200, vendor: int = 0x10DE, driver: str = "", vpd: bytes = b""
) -> None:
    folder = root / "sys/bus/pci/devices"
    entry = folder / f"0000:{len(list(folder.glob('*'))):02x}:00.0"
    entry.mkdir(parents=True)
    for name, value in (("vendor", vendor), ("device", device), ("class", kind)):
        (entry / name).write_text(f"{value:#06x}\n")
    if driver:
        (entry / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")
    if vpd:
        (entry / "vpd").write_bytes(vpd)


def judge(root: Path, **options: str) -> dict[str, Any]:
    """Run the module as Ansible does; returns its answer."""
    environment = {"PYTHONPATH": str(_importable(root)), "PATH": "/usr/bin:/bin"}
    text = json.dumps({"ANSIBLE_MODULE_ARGS": {"root": str(root), **options}})
    done = subprocess.run(
        [sys.executable, LIBRARY / "gpu_hardware.py"],
        input=text,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout or done.stderr)
    return answer


def _importable(root: Path) -> Path:
    """Have our module_utils found beside Ansible's, as when Ansible packs a module."""
    folder = root / "importable"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        f"import ansible.module_utils as m; m.__path__.append({str(LIBRARY.parent / 'module_utils')!r})\n"
    )
    return folder


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with a network card and a plain bridge."""
    add_device(tmp_path, 0x1533, kind=0x020000, vendor=0x8086)
    add_device(tmp_path, 0x0FBB, kind=0x040300)  # the sound of a GPU is no GPU
    return tmp_path


@pytest.mark.parametrize(
    ("devices", "generations", "module"),
    [
        ([], [], ""),
        ([V100], ["volta"], "proprietary"),
        ([T4], ["turing"], "open"),
        ([A100, A100], ["ampere", "ampere"], "open"),
        ([H100] * 8, ["hopper"] * 8, "open"),
        ([GH200], ["hopper"], "open"),
        ([L40S], ["ada"], "open"),
        ([B200], ["blackwell"], "open"),
        ([RTX5090], ["blackwell"], "open"),
        ([V100, A100], ["volta", "ampere"], "proprietary"),
    ],
)
def test_the_kernel_module_follows_from_the_generation(
    devices: list[int], generations: list[str], module: str, host: Path
) -> None:
    for each in devices:
        add_device(host, each)
    answer = judge(host)
    assert [each["generation"] for each in answer["gpus"]] == generations
    assert answer["module"] == module
    assert not answer["changed"]


@pytest.mark.parametrize(
    ("devices", "options", "complaint"),
    [
        ([V100, B200], {}, "no driver supports both volta and blackwell"),
        ([V100, GH200], {}, "no driver supports both volta and hopper"),
        ([0x0FFE], {}, "GPU 10de:0ffe is not in a known generation (Maxwell to Blackwell); set"),
        (
            [V100],
            {"version": "590.44.01"},
            "driver 590.44.01 has no support for volta; the last branch is 580",
        ),
        (
            [V100],
            {"version": "580.178.04"},
            "CUDA 13, which torch needs here, has no support for volta; remove",
        ),
        (
            [V100, A100],
            {"version": "580.178.04"},
            "CUDA 13, which torch needs here, has no support for volta; remove",
        ),
        (
            [H100],
            {"version": "535.261.03"},
            "driver 535.261.03 is too old for CUDA 13, which torch needs here; the first branch is 580",
        ),
    ],
)
def test_what_no_driver_fits_is_refused_with_the_reason(
    devices: list[int], options: dict[str, str], complaint: str, host: Path
) -> None:
    for each in devices:
        add_device(host, each)
    assert complaint in judge(host, **options)["msg"]


def test_a_module_chosen_by_hand_is_taken_also_for_an_unknown_gpu(host: Path) -> None:
    add_device(host, 0x4000)
    answer = judge(host, module="open")
    assert (answer["module"], answer["gpus"][0]["generation"]) == ("open", None)


@pytest.mark.parametrize(
    ("device", "kind", "fabric"),
    [
        (0x22A3, 0x068000, "switches"),
        (0x1AF1, 0x068000, "switches"),
        (B200, 0x030200, "none"),
        (A100, 0x030200, "none"),
    ],
)
def test_switches_between_gpus_are_found(device: int, kind: int, fabric: str, host: Path) -> None:
    add_device(host, device, kind=kind)
    assert judge(host)["fabric"] == fabric


# As lspci shows it of an HGX B200's bridge devices; the tag and its length precede it.
BRIDGE = b"\x82\x1d\x00Nvidia HGX B200 NVLink bridge\x90\x09\x00V0\x06SW_MNG\x78"


@pytest.mark.parametrize("place", ["pci", "infiniband"])
def test_switches_that_are_no_pci_devices_are_known_by_what_manages_them(place: str, host: Path) -> None:
    for _ in range(8):
        add_device(host, B200)
    add_device(host, 0x1021, kind=0x020700, vendor=0x15B3, vpd=b"\x82\x0c\x00ConnectX-7 HCA\x78")
    assert judge(host)["fabric"] == "none"
    if place == "pci":
        add_device(host, 0x1021, kind=0x020700, vendor=0x15B3, vpd=BRIDGE)
    else:
        (host / "sys/class/infiniband/mlx5_4/device").mkdir(parents=True)
        (host / "sys/class/infiniband/mlx5_4/device/vpd").write_bytes(BRIDGE)
    assert judge(host)["fabric"] == "subnet"


@pytest.mark.parametrize(
    ("drivers", "held_by"),
    [
        (["nvidia", "nvidia"], []),
        (["", "nvidia"], []),
        (["nouveau"], ["nouveau"]),
        (["NovaCore", "nvidia"], ["NovaCore"]),
        (["nvidia", "vfio-pci"], ["vfio-pci"]),
    ],
)
def test_whatever_else_holds_a_gpu_is_found_by_its_driver_link(
    drivers: list[str], held_by: list[str], host: Path
) -> None:
    for driver in drivers:
        add_device(host, H100, driver=driver)
    add_device(host, 0x22BA, kind=0x040300, driver="snd_hda_intel")  # the sound of a GPU
    answer = judge(host)
    assert answer["held_by"] == held_by
    assert [each["driver"] for each in answer["gpus"]] == drivers


def test_the_driver_is_built_for_every_kernel_that_may_be_booted(host: Path) -> None:
    (host / "boot").mkdir()
    for release in ("6.1.0-28-amd64", "6.1.0-31-amd64"):
        (host / "boot" / f"vmlinuz-{release}").touch()
    (host / "proc/sys/kernel").mkdir(parents=True)
    (host / "proc/sys/kernel/osrelease").write_text("6.1.0-28-amd64\n")
    assert judge(host)["kernels"] == ["6.1.0-28-amd64", "6.1.0-31-amd64"]


def test_the_bounds_of_the_driver_are_those_of_the_locked_cuda() -> None:
    from ansible.module_utils.gpu_generations import CUDA

    folder = LIBRARY.parents[1] / "requirements"
    texts = [(folder / f"{name}.lock").read_text() for name in ("model", "vllm")]
    locked = [re.findall(r"^cuda-toolkit==(\d+)\.", text, re.MULTILINE) for text in texts]
    assert locked == [[str(CUDA)], [str(CUDA)]], "other bounds: NVIDIA's table of minimum driver versions"


@pytest.mark.parametrize(("value", "on"), [(b"\x06\0\0\0\x01", True), (b"\x06\0\0\0\0", False), (b"", False)])
def test_secure_boot_is_read_from_the_firmware(value: bytes, on: bool, host: Path) -> None:
    variables = host / "sys/firmware/efi/efivars"
    variables.mkdir(parents=True)
    (variables / "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c").write_bytes(value)
    assert judge(host)["secure_boot"] is on


@pytest.mark.parametrize("flavour", ["UNIX Open Kernel Module for x86_64", "UNIX x86_64 Kernel Module"])
def test_the_loaded_driver_is_known_by_its_version(flavour: str, host: Path) -> None:
    (host / "proc/driver/nvidia").mkdir(parents=True)
    line = f"NVRM version: NVIDIA {flavour}  580.105.08  Release Build  (dvs)  Wed Oct 29\nGCC version:  12\n"
    (host / "proc/driver/nvidia/version").write_text(line)
    (host / "sys/module/nouveau").mkdir(parents=True)
    answer = judge(host)
    assert (answer["loaded"], answer["held_by"]) == ("580.105.08", ["nouveau"])
