"""What the roles ask a GPU host, read from the roles themselves, and what they judge its answers by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.gpu.ansible_modules import run_module
from benchmarks.gpu.context import ANSIBLE
from benchmarks.gpu.machine import command

if TYPE_CHECKING:
    from pathlib import Path

VALIDATION = ANSIBLE / "roles" / "gpu_validation"
_QUERY = re.compile(r"--query-[a-z-]+=[a-z0-9_]+(?:[.,][a-z0-9_]+)*")
_CONTINUED = re.compile(r"\\\n\s*")
"""The end of a line that goes on in the next one."""
_SUFFIXES = {".yml", ".j2", ".py", ".sh"}


def queries(folder: Path = ANSIBLE) -> list[str]:
    """Every `--query-…=…` option of nvidia-smi that stands in a role, module or template, sorted."""
    files = (file for file in folder.rglob("*") if file.suffix in _SUFFIXES)
    texts = (_CONTINUED.sub("", file.read_text(encoding="utf-8")) for file in files)
    return sorted({found for text in texts for found in _QUERY.findall(text)})


def argv_of(register: str, file: Path = VALIDATION / "tasks" / "10_burn_in.yml") -> list[str]:
    """The command whose answer a task registers under this name; raises LookupError if no task does."""
    for task in yaml.safe_load(file.read_text(encoding="utf-8")):
        if task.get("register") == register:
            return [str(word) for word in task["ansible.builtin.command"]["argv"]]
    raise LookupError(f"{file.name} registers no {register}; adapt benchmarks/gpu/role_commands.py")


def counters() -> tuple[int | None, str, str]:
    """Exit code, output and errors of the role's query for memory errors."""
    return command(*argv_of("gpu_validation_counters"))


def kernel_log() -> tuple[int | None, str, str]:
    """The same for the role's reading of the kernel's log."""
    return command(*argv_of("gpu_validation_log"))


def datasheets() -> dict[str, Any]:
    """The role's table of datasheet figures, and the shares of them that are its floors."""
    told: dict[str, Any] = yaml.safe_load((VALIDATION / "vars" / "main.yml").read_text(encoding="utf-8"))
    return {"table": told["gpu_validation_table"], "shares": told["gpu_validation_shares"]}


def verdict(devices: list[dict[str, Any]], gpu_count: int, *, counted: str, logged: str) -> dict[str, Any]:
    """The answer of `host_verdict` to a burn-in's devices and to the real lines of counters and log."""
    defaults = yaml.safe_load((VALIDATION / "defaults" / "main.yml").read_text(encoding="utf-8"))
    return run_module(
        "host_verdict",
        devices=devices,
        gpu_count=gpu_count,
        floors=defaults["gpu_validation_floors"],
        cpu_floor_gflops=defaults["gpu_validation_cpu_gflops"],
        counters=counted,
        kernel_log=logged,
        **datasheets(),
    )
