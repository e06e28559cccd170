"""What a system unit may do: devices of GPUs whether or not their driver is there yet, and nothing else of /dev."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.ansible.conftest import PLAYBOOKS
from tests.ansible.role_templates import template

ROLE = PLAYBOOKS / "roles" / "service"


def unit(*, gpu: bool, **changes: Any) -> str:
    """The unit of a server on a host with or without a GPU."""
    variables: dict[str, Any] = {"premises_look": {"nvidia": gpu}, "premises_manager": "system"}
    variables |= {"premises_service_user": "scenario", "premises_root": "/srv/scenario"}
    variables |= {
        "service_name": "inference",
        "service_command": ["/bin/true"],
        "service_whole_environment": {},
    }
    variables |= {"service_writable": ["/srv/scenario/inference"]} | changes
    return template("service", "systemd.j2", **variables)


def test_a_service_gets_its_gpus_also_if_it_was_set_up_before_their_driver() -> None:
    text = unit(gpu=True)
    assert {"DeviceAllow=char-nvidia rw", "DeviceAllow=char-nvidia-uvm rw"} <= set(text.splitlines())
    assert "PrivateDevices" not in text


def test_a_service_starts_after_the_modules_whose_devices_it_is_given() -> None:
    before, _, service = unit(gpu=True).partition("[Service]")
    assert re.search(r"^After=scenario-gpu-devices.service ", before, re.MULTILINE)
    assert "NoNewPrivileges=yes" in service
    made = (PLAYBOOKS / "roles/gpu_driver/files/scenario-gpu-devices.service").read_text()
    assert "ExecStart=/usr/bin/nvidia-modprobe -c 0 -u\n" in made
    assert "scenario-gpu-devices" not in unit(gpu=False)


@pytest.mark.parametrize("gpu", [True, False])
def test_infiniband_is_given_only_where_it_is_allowed(gpu: bool) -> None:
    assert "infiniband" not in unit(gpu=gpu)
    allowed = unit(gpu=gpu, service_rdma=True).splitlines()
    assert {"DeviceAllow=char-infiniband_verbs rw", "LimitMEMLOCK=infinity"} <= set(allowed)


def test_without_a_gpu_there_are_no_devices_at_all() -> None:
    assert "PrivateDevices=yes" in unit(gpu=False).splitlines()
