"""What nodes keep from pods, by EKS's own formula."""

from __future__ import annotations

import pytest

from lab.kubernetes.machines import Machine


@pytest.mark.parametrize(
    ("vcpus", "pods", "cpu", "memory"),
    [(2, 29, "70m", "574Mi"), (4, 58, "80m", "893Mi"), (8, 58, "90m", "893Mi"), (96, 737, "310m", "8362Mi")],
)
def test_the_kubelet_of_a_larger_node_keeps_a_smaller_share(
    vcpus: int, pods: int, cpu: str, memory: str
) -> None:
    machine = Machine(vcpus=vcpus, memory_kib=1, disk_kib=1, pods=pods)
    assert machine.reserved == {"cpu": cpu, "memory": memory, "ephemeral-storage": "1Gi"}
