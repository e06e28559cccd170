"""What the GPU check records of a host, and our modules' answers to it, without Ansible and without a GPU."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu import role_commands, system_files
from benchmarks.gpu.ansible_modules import run_module
from benchmarks.gpu.context import Context
from benchmarks.gpu.recordings import run as record
from benchmarks.gpu.recordings import without_serials

HERE = Path(__file__).parent


def context(tmp_path: Path, name: str = "recordings") -> Context:
    for folder in ("out", "scratch"):
        (tmp_path / folder).mkdir(exist_ok=True)
    return Context(
        part=name,
        device="cpu",
        out=tmp_path / "out",
        scratch=tmp_path / "scratch",
        deadline=time.monotonic() + 60,
    )


def test_our_modules_answer_without_ansible(tmp_path: Path) -> None:
    entry = tmp_path / "sys/bus/pci/devices/0000:18:00.0"
    entry.mkdir(parents=True)
    for name, value in (("vendor", 0x10DE), ("device", 0x2330), ("class", 0x030200)):
        (entry / name).write_text(f"{value:#06x}\n")
    answer = run_module("gpu_hardware", root=str(tmp_path))
    found = {"address": "0000:18:00.0", "device": "2330", "generation": "hopper", "driver": ""}
    assert answer["gpus"] == [found]
    assert (answer["module"], answer["fabric"]) == ("open", "none")
    (entry / "device").write_text("0x9999\n")
    assert "10de:9999 is not in a known generation" in run_module("gpu_hardware", root=str(tmp_path))["msg"]
    assert "missing options: ['devices'" in run_module("host_verdict")["msg"]
    import ansible.module_utils.basic as real  # what Ansible itself imports stays as it is

    assert hasattr(real, "env_fallback")


def test_the_verdict_takes_what_the_burn_in_and_the_role_give() -> None:
    device = {"name": "NVIDIA H100 80GB HBM3", "matmul_tflops": 798.0, "memory_gb_s": 3000.0, "wrong": []}
    judge = role_commands.verdict
    assert judge([device], 1, counted="0, 0, No, No\n", logged="")["failures"] == []
    slow = judge(
        [device | {"matmul_tflops": 100.0}], 1, counted="", logged="NVRM: Xid (PCI:0000:18): 79, lost"
    )
    assert [each.split(":")[0] for each in slow["failures"]] == [
        "NVIDIA H100 80GB HBM3 0",
        "the kernel has logged Xid 79",
    ]


def test_queries_are_read_from_the_roles() -> None:
    assert "--query-gpu=driver_version" in role_commands.queries()
    assert role_commands.argv_of("gpu_validation_counters")[0] == "nvidia-smi"
    assert role_commands.argv_of("gpu_validation_counters")[1] in role_commands.queries()
    with pytest.raises(LookupError, match="registers no gpu_validation_moon"):
        role_commands.argv_of("gpu_validation_moon")


def test_recordings_hold_what_nvidia_smi_says_without_serial_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = tmp_path / "bin" / "nvidia-smi"
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!{sys.executable}\n" + (HERE / "nvidia_smi.py").read_text())
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    result = record(context(tmp_path))
    told = (tmp_path / "out/nvidia-smi-q.txt").read_text()
    assert "Serial Number                         : 0000000000000\n" in told
    assert "GPU UUID                              : GPU-00000000-0000-0000-0000-000000000000\n" in told
    assert "Product Name                          : NVIDIA H100 80GB HBM3\n" in told
    transcript = (tmp_path / "out/role-queries.txt").read_text()
    assert "$ nvidia-smi --query-gpu=driver_version --format=csv,noheader,nounits\n580.159.04\n" in transcript
    assert result["files"]["role-queries.txt"]["failed"] == []
    assert result["host_verdict_of_lines"]["counters"]["output"] == "0, 0, No, No, [N/A], None, Disabled\n"
    json.dumps(result)


def test_words_that_are_no_serial_number_stay() -> None:
    text = "    Serial Number  : N/A\n    Board Part Number : 692-2G520-0200-000\n"
    assert without_serials(text) == text


def test_sysfs_is_recorded_with_driver_links(tmp_path: Path) -> None:
    entry = tmp_path / "sys/bus/pci/devices/0000:18:00.0"
    entry.mkdir(parents=True)
    (entry / "vendor").write_text("0x10de\n")
    (entry / "device").write_text("0x2330\n")
    driver = tmp_path / "sys/bus/pci/drivers/vfio-pci"
    driver.mkdir(parents=True)
    (entry / "driver").symlink_to(driver)
    text = system_files.sysfs(tmp_path)
    assert "sys/bus/pci/devices/0000:18:00.0/device: 0x2330\n" in text
    assert "sys/bus/pci/devices/0000:18:00.0/driver -> vfio-pci\n" in text
    assert "sys/bus/pci/devices/0000:18:00.0/iommu_group -> none\n" in text
    assert "sys/module/nvidia: not loaded\n" in text
