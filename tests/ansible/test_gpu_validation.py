"""A host is admitted by what it reaches: real measurements of this machine's CPU, made-up ones of GPUs."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.ansible.conftest import PLAYBOOKS, Ran

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

ROLE = PLAYBOOKS / "roles" / "gpu_validation"
H100 = "NVIDIA H100 80GB HBM3"
SPLIT = "".join(f"{number}, 0, [N/A], [N/A], [N/A], None, Enabled\n" for number in range(8))
PART_OF_A_GPU = (
    "is a part of a GPU, and the table has floors of whole ones; set gpu_validation_floors, "
    "or end MIG mode (nvidia-smi -mig 0)"
)
RECOVERY = "GPU recovery action changed from 0x1 (GPU Reset Required)"


def judged(module: Callable[[str], ModuleType], name: str = H100, **changes: Any) -> list[str]:
    """The failures of a host with one GPU that is as it should be, but for the changes."""
    told = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    device = {"name": name, "matmul_tflops": 700.0, "memory_gb_s": 2900.0, "wrong": []}
    device |= {key: changes.pop(key) for key in list(changes) if key in device}
    options: dict[str, Any] = {"devices": [device], "gpu_count": 1, "floors": {}, "cpu_floor_gflops": 5.0}
    options |= {"table": told["gpu_validation_table"], "shares": told["gpu_validation_shares"]}
    options |= {"counters": "0, 0, No, No, [N/A], None, Disabled\n", "kernel_log": ""}
    failures: list[str] = module("host_verdict").judge(options | changes)
    return failures


@pytest.mark.parametrize(
    ("changes", "failures"),
    [
        ({}, []),
        ({"matmul_tflops": 500.0}, [f"{H100} 0: matmul 500 TFLOP/s, floor 593"]),
        ({"matmul_tflops": float("nan")}, [f"{H100} 0: matmul nan TFLOP/s, floor 593"]),
        ({"memory_gb_s": 900.0}, [f"{H100} 0: memory 900 GB/s, floor 2.34e+03"]),
        ({"wrong": ["a product is not finite"]}, [f"{H100} 0: a product is not finite"]),
        ({"gpu_count": 8}, ["torch sees 1 GPUs of 8"]),
        ({"devices": []}, ["torch sees 0 GPUs of 1"]),
        ({"name": "NVIDIA X900"}, ["NVIDIA X900 is not in the table of floors; set gpu_validation_floors"]),
        ({"name": "NVIDIA X900", "floors": {"matmul_tflops": "1"}}, []),
        ({"counters": "0, [N/A], [N/A], [N/A], [N/A], N/A, [N/A]\n"}, []),
        (
            {"counters": "0, 2, No, Yes, [N/A], Reset, Disabled\n"},
            [
                "GPU 0: uncorrected memory errors: 2",
                "GPU 0: row remapping that failed: Yes",
                "GPU 0: recovery action recommended by the driver: Reset",
            ],
        ),
        (
            {"name": f"{H100} MIG 1g.10gb", "gpu_count": 8, "counters": SPLIT},
            [f"{H100} MIG 1g.10gb {PART_OF_A_GPU}"],
        ),
        (
            {
                "name": f"{H100} MIG 1g.10gb",
                "gpu_count": 8,
                "counters": SPLIT,
                "floors": {"matmul_tflops": "50"},
            },
            [],
        ),
        ({"devices": [], "gpu_count": 8, "counters": SPLIT}, ["torch sees 0 GPUs of 8"]),
        ({"name": "GRID A100-20C"}, [f"GRID A100-20C {PART_OF_A_GPU}"]),
        ({"name": "NVIDIA A100-1-5CME"}, [f"NVIDIA A100-1-5CME {PART_OF_A_GPU}"]),
        (
            {"kernel_log": "NVRM: Xid (PCI:0000:18:00): 79, GPU has fallen off the bus."},
            ["the kernel has logged Xid 79"],
        ),
        ({"kernel_log": "NVRM: Xid (PCI:0000:18:00): 31, pid=7, MMU Fault"}, []),
        ({"kernel_log": "NVRM: Xid (PCI:0000:18:00): 109, pid=7, name=python, CTX SWITCH TIMEOUT"}, []),
        (
            {"kernel_log": f"NVRM: Xid (PCI:0000:18:00): 154, {RECOVERY} to 0x1 (GPU Reset Required)"},
            ["the kernel has logged Xid 154"],
        ),
        ({"kernel_log": f"NVRM: Xid (PCI:0000:18:00): 154, {RECOVERY} to 0x0 (None)"}, []),
        (
            {"kernel_log": "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 23001, Fatal, Link 12"},
            ["the kernel has logged fatal SXid 23001 of an NVSwitch"],
        ),
        ({"kernel_log": "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20009, Non-fatal, Link 28"}, []),
    ],
)
def test_a_gpu_is_judged_by_its_datasheet_its_memory_and_its_kernel(
    changes: dict[str, Any], failures: list[str], module: Callable[[str], ModuleType]
) -> None:
    assert judged(module, **changes) == failures


@pytest.mark.parametrize(
    ("name", "matmul"),
    [
        ("NVIDIA H200", 989 * 0.6),
        ("NVIDIA H200 NVL", 836 * 0.6),
        ("NVIDIA H100 PCIe", 756 * 0.45),
        ("NVIDIA A100-SXM4-80GB", 312 * 0.6),
        ("NVIDIA A10", 125 * 0.35),
        ("NVIDIA L40S", 362 * 0.35),
        ("NVIDIA L4", 121 * 0.35),
        ("NVIDIA B200", 2250 * 0.6),
    ],
)
def test_the_names_that_drivers_report_find_their_line(
    name: str, matmul: float, module: Callable[[str], ModuleType]
) -> None:
    told = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    floors = module("host_verdict").floors_of(
        name, told["gpu_validation_table"], told["gpu_validation_shares"]
    )
    assert floors["matmul_tflops"] == pytest.approx(matmul)


def burn_in() -> ModuleType:
    """The load test as a module."""
    spec = importlib.util.spec_from_file_location("burn_in", ROLE / "files" / "burn_in.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.slow
def test_all_gpus_are_loaded_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    program, together = burn_in(), threading.Barrier(8, timeout=20)
    monkeypatch.setattr(
        program, "measure", lambda device, seconds: {"name": str(device), "at": together.wait()}
    )
    devices = [program.torch.device("cuda", index) for index in range(8)]
    assert [each["name"] for each in program.measure_all(devices, 1.0)] == [f"cuda:{n}" for n in range(8)]


@pytest.mark.slow
@pytest.mark.parametrize(("native", "kind"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_that_emulates_bf16_is_measured_with_fp16(
    native: bool, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = burn_in()
    monkeypatch.setattr(program.torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(program.torch.cuda, "is_bf16_supported", lambda *, including_emulation: native)
    assert program.number_type(program.torch.device("cuda", 0)) == getattr(program.torch, kind)


@pytest.mark.slow
def test_the_burn_in_measures_this_machine() -> None:
    command = [sys.executable, str(ROLE / "files" / "burn_in.py"), "--seconds", "0.5"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    (device,) = told["devices"]
    assert device["wrong"] == []
    assert 0.001 < device["matmul_tflops"] < 1000
    assert 0.1 < device["memory_gb_s"] < 20000


def _port() -> int:
    """A port that is free, and that the kernel gives to nobody until it is needed."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(20000, 32000)))
            return int(probe.getsockname()[1])


@pytest.fixture
def validate(tmp_path: Path) -> Callable[..., Ran]:
    """Apply the role to two hosts that train and one that does neither, all of them this machine."""
    hosts = {name: {"ansible_host": "127.0.0.1"} for name in ("trainer-1", "trainer-2", "spare")}
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    groups: dict[str, Any] = {"training": {"hosts": {"trainer-1": {}, "trainer-2": {}}}}
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"premises": {"hosts": hosts, "vars": common, "children": groups}}))
    role = {"ansible.builtin.include_role": {"name": "gpu_validation"}}
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "premises", "gather_facts": False, "tasks": [role]}]))

    def run(*, limit: str = "premises", **variables: Any) -> Ran:
        settings = {"gpu_validation_python": sys.executable, "gpu_validation_seconds": 0.2}
        settings |= {"gpu_validation_mebibytes": 1, "gpu_validation_port": _port()}
        settings |= {"gpu_validation_cpu_gflops": 0.01, "gpu_validation_bus_gb_s": 0.0001}
        settings |= {"gpu_validation_timeout": 150} | variables
        own = {"ANSIBLE_HOME": str(tmp_path / "home"), "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles")}
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(play)]
        done = subprocess.run(
            [*command, "--limit", limit, "-e", json.dumps(settings)],
            cwd=PLAYBOOKS,
            env={**os.environ, **own, "ANSIBLE_NOCOLOR": "1", "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        return Ran(done.returncode, done.stdout)

    return run


@pytest.mark.slow
def test_hosts_that_are_fit_are_admitted_and_nothing_is_changed(
    validate: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = validate()
    assert ran.code == 0, ran.output[-4000:]
    assert ran.changes() == 0
    assert "trainer-2: CPU: " in ran.output
    assert not (tmp_path / ".ansible_async").exists()


@pytest.mark.slow
def test_hosts_that_are_too_slow_are_named_and_a_spare_one_does_not_matter(
    validate: Callable[..., Ran],
) -> None:
    ran = validate(gpu_validation_cpu_gflops=1e9, gpu_validation_bus_gb_s=1e6)
    said = " ".join(ran.output.split())
    assert ran.code
    slow = (
        r"CPU 0: matmul [^;]*, floor 1e\+06; the all-reduce over trainer-1, trainer-2 reached \S+ GB/s, floor"
    )
    for host in ("trainer-1", "trainer-2"):
        assert re.search(rf"{host} is not admitted to training: {slow}", said), said[-3000:]
    assert "spare is not admitted" not in said
    assert ran.recap["spare"]["failed"] == 0


@pytest.mark.slow
def test_a_host_on_which_the_burn_in_does_not_even_start_says_why(validate: Callable[..., Ran]) -> None:
    ran = validate(limit="trainer-1", gpu_validation_python="/usr/bin/false")
    assert ran.code
    assert "trainer-1 is not admitted to training: " in " ".join(ran.output.split())
    assert "the burn-in failed: exit code 1" in " ".join(ran.output.split())


@pytest.mark.slow
def test_a_burn_in_that_does_not_end_is_ended_and_named(validate: Callable[..., Ran], tmp_path: Path) -> None:
    hangs = tmp_path / "python"
    hangs.write_text("#!/bin/sh\nexec sleep 600\n")
    hangs.chmod(0o755)
    ran = validate(limit="trainer-1", gpu_validation_python=str(hangs), gpu_validation_timeout=1)
    assert "the burn-in did not end within 1 s" in " ".join(ran.output.split())


@pytest.mark.slow
def test_the_gpus_of_one_host_are_all_reduced_among_themselves(
    validate: Callable[..., Ran], tmp_path: Path
) -> None:
    """Two processes of this machine stand for two GPUs."""
    (tmp_path / "all_reduce.py").write_text((ROLE / "files/all_reduce.py").read_text())
    role = {"ansible.builtin.include_role": {"name": "gpu_validation", "tasks_from": "20_all_reduce"}}
    show = {
        "ansible.builtin.debug": {"msg": "{{ gpu_validation_bus_reached }} {{ gpu_validation_failures }}"}
    }
    begin: dict[str, Any] = {"ansible.builtin.set_fact": {"gpu_validation_failures": []}}
    play = {"hosts": "premises", "gather_facts": False, "tasks": [begin, role, show]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    ran = validate(
        limit="spare",
        ansible_async_dir=str(tmp_path / "jobs"),
        gpu_validation_room={"path": str(tmp_path)},
        gpu_validation_hardware={"gpus": [{}, {}]},
        gpu_validation_ring=["spare"],
        gpu_validation_ring_name="all_reduce_of_gpus_gb_s",
        gpu_validation_ring_label="2 GPUs of one host",
        gpu_validation_ring_floor=1e6,
    )
    said = " ".join(ran.output.split())
    assert re.search(r"all_reduce_of_gpus_gb_s\W+\d+\.\d+", said), said[-2000:]
    assert "the all-reduce over 2 GPUs of one host reached " in said
    assert "GB/s, floor 1000000.0" in said
