"""Kernel settings on a tree of files that stands for /proc/sys."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

LIBRARY = Path(__file__).parents[2] / "ansible" / "library"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host whose settings are files."""
    folder = tmp_path / "proc/sys/vm"
    folder.mkdir(parents=True)
    (folder / "swappiness").write_text("60\n")
    (folder / "min_free_x").write_text("1\t2\n")
    return tmp_path


def apply(host: Path, **values: Any) -> dict[str, Any]:
    """Run the module as Ansible does; returns its answer."""
    arguments = {"values": {name.replace("__", "."): value for name, value in values.items()}}
    places = {"file": f"{host}/etc/sysctl.d/x.conf", "record": f"{host}/var/x/sysctl.json", "root": str(host)}
    text = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, **places}})
    done = subprocess.run(
        [sys.executable, LIBRARY / "kernel_settings.py"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_setting_that_is_dropped_has_the_value_that_it_had_before_ours(host: Path) -> None:
    live = host / "proc/sys/vm/swappiness"
    assert apply(host, vm__swappiness=10)["changed"]
    assert not apply(host, vm__swappiness=10)["changed"]
    assert apply(host, vm__swappiness=20)["changed"]
    assert live.read_text() == "20\n"
    assert apply(host)["changed"]
    assert live.read_text() == "60\n"
    assert not (host / "etc/sysctl.d/x.conf").exists()
    assert not (host / "var/x").exists()
    assert not apply(host)["changed"]


def test_blanks_in_a_value_are_no_difference(host: Path) -> None:
    apply(host, vm__min_free_x="1 2")
    assert not apply(host, vm__min_free_x="1  2")["changed"]


def test_a_setting_that_the_kernel_lacks_is_named_before_anything_is_set(host: Path) -> None:
    answer = apply(host, vm__swappiness=10, vm__none=1)
    assert answer["msg"] == "base_sysctl: this kernel has no setting vm.none"
    assert (host / "proc/sys/vm/swappiness").read_text() == "60\n"


def test_packages_to_hold_are_found_by_pattern(module: Callable[[str], ModuleType]) -> None:
    installed = {"linux-image-6.1.0-28-amd64", "linux-base", "nvidia-smi"}
    found = module("held_packages").fitting(installed, ["linux-image-*", "nvidia-*", "cuda-*"])
    assert found == {"linux-image-6.1.0-28-amd64", "nvidia-smi"}
