"""The supported instance types, as published by AWS.

Sources, both read in November 2026: the EC2 instance types guide
(https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html, co.html, gp.html) and the answers of
DescribeInstanceTypes; how EFA interfaces are numbered: the EC2 user guide
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html). Types that are not in both are
left out. Pods of a node: network interfaces times addresses without their own, and two, from nodeadm's
instance-info.jsonl (https://github.com/awslabs/amazon-eks-ami), July 2026.
"""

from __future__ import annotations

import difflib
from types import MappingProxyType
from typing import TYPE_CHECKING

from components.aws.instances import InstanceType
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.aws.instances import Demand

_GUIDE = "https://docs.aws.amazon.com/ec2/latest/instancetypes"
_READ = "2026-11"
_BLOCKS = ("p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300")
"""Families of which Capacity Blocks are sold: DescribeInstanceTypes, SupportedUsageClasses."""

# GPU model and memory in GiB, then size: vCPUs, memory GiB, GPUs, network cards, EFA interfaces, NVMe disks
# and GB each. Memory of a GPU is what DescribeInstanceTypes gives, rounded down.
_GPU_FAMILIES: dict[str, tuple[str, int, dict[str, tuple[int, int, int, int, int, int, int]]]] = {
    "g5": (
        "A10G",
        22,
        {
            "xlarge": (4, 16, 1, 1, 0, 1, 250),
            "2xlarge": (8, 32, 1, 1, 0, 1, 450),
            "4xlarge": (16, 64, 1, 1, 0, 1, 600),
            "8xlarge": (32, 128, 1, 1, 1, 1, 900),
            "12xlarge": (48, 192, 4, 1, 1, 1, 3800),
            "16xlarge": (64, 256, 1, 1, 1, 1, 1900),
            "24xlarge": (96, 384, 4, 1, 1, 1, 3800),
            "48xlarge": (192, 768, 8, 1, 1, 2, 3800),
        },
    ),
    "g6": (
        "L4",
        22,
        {
            "xlarge": (4, 16, 1, 1, 0, 1, 250),
            "2xlarge": (8, 32, 1, 1, 0, 1, 450),
            "4xlarge": (16, 64, 1, 1, 0, 1, 600),
            "8xlarge": (32, 128, 1, 1, 1, 2, 450),
            "12xlarge": (48, 192, 4, 1, 1, 4, 940),
            "16xlarge": (64, 256, 1, 1, 1, 2, 940),
            "24xlarge": (96, 384, 4, 1, 1, 4, 940),
            "48xlarge": (192, 768, 8, 1, 1, 8, 940),
        },
    ),
    "g6e": (
        "L40S",
        44,
        {
            "xlarge": (4, 32, 1, 1, 0, 1, 250),
            "2xlarge": (8, 64, 1, 1, 0, 1, 450),
            "4xlarge": (16, 128, 1, 1, 0, 1, 600),
            "8xlarge": (32, 256, 1, 1, 1, 2, 450),
            "12xlarge": (48, 384, 4, 1, 1, 2, 1900),
            "16xlarge": (64, 512, 1, 1, 1, 2, 950),
            "24xlarge": (96, 768, 4, 2, 2, 2, 1900),
            "48xlarge": (192, 1536, 8, 4, 4, 4, 1900),
        },
    ),
    "p4d": ("A100", 40, {"24xlarge": (96, 1152, 8, 4, 4, 8, 1000)}),
    "p4de": ("A100", 80, {"24xlarge": (96, 1152, 8, 4, 4, 8, 1000)}),
    "p5": ("H100", 80, {"4xlarge": (16, 256, 1, 1, 1, 1, 3800), "48xlarge": (192, 2048, 8, 32, 32, 8, 3800)}),
    "p5e": ("H200", 141, {"48xlarge": (192, 2048, 8, 32, 32, 8, 3800)}),
    "p5en": ("H200", 141, {"48xlarge": (192, 2048, 8, 16, 16, 8, 3800)}),
    "p6-b200": ("B200", 179, {"48xlarge": (192, 2048, 8, 8, 8, 8, 3800)}),
    # Its first network card carries IP traffic only.
    "p6-b300": ("B300", 268, {"48xlarge": (192, 4096, 8, 17, 16, 8, 3800)}),
}
_CPU_SIZES = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48} | {
    "16xlarge": 64,
    "24xlarge": 96,
    "48xlarge": 192,
}
_CPU_FAMILIES = {"c7i": (2, "co.html"), "m7i": (4, "gp.html")}
"""GiB of memory per vCPU, and the page of the guide. The largest size has an EFA interface."""

# By sizes that have the usual interfaces of the Nitro generations; what has others is named below.
_PODS_BY_SIZE = {
    "large": 29,
    "xlarge": 58,
    "2xlarge": 58,
    "4xlarge": 234,
    "8xlarge": 234,
    "12xlarge": 234,
} | {
    "16xlarge": 737,
    "24xlarge": 737,
    "48xlarge": 737,
}
_PODS = {
    "g5.12xlarge": 737,
    "g5.16xlarge": 234,
    "g5.48xlarge": 345,
    "g6e.12xlarge": 292,
    "g6e.24xlarge": 492,
    "g6e.48xlarge": 492,
    "p5.4xlarge": 118,
    "p5.48xlarge": 100,
    "p5e.48xlarge": 100,
    "p5en.48xlarge": 198,
    "p6-b200.48xlarge": 198,
    "p6-b300.48xlarge": 198,
}


def _rows() -> dict[str, InstanceType]:
    rows = [
        InstanceType(
            name=f"{family}.{size}",
            vcpus=vcpus,
            memory_gib=memory,
            max_pods=_pods(family, size),
            gpus=gpus,
            gpu_model=model,
            gpu_memory_gib=gpu_memory,
            network_cards=cards,
            efa_interfaces=efa,
            nvme_disks=disks,
            nvme_disk_gb=disk,
            capacity_blocks=family in _BLOCKS,
            source=f"{_GUIDE}/ac.html",
            as_of=_READ,
        )
        for family, (model, gpu_memory, sizes) in _GPU_FAMILIES.items()
        for size, (vcpus, memory, gpus, cards, efa, disks, disk) in sizes.items()
    ]
    rows += [
        InstanceType(
            name=f"{family}.{size}",
            vcpus=vcpus,
            memory_gib=vcpus * gib,
            max_pods=_pods(family, size),
            efa_interfaces=int(size == "48xlarge"),
            source=f"{_GUIDE}/{page}",
            as_of=_READ,
        )
        for family, (gib, page) in _CPU_FAMILIES.items()
        for size, vcpus in _CPU_SIZES.items()
    ]
    return {row.name: row for row in rows}


def _pods(family: str, size: str) -> int:
    return _PODS.get(f"{family}.{size}", _PODS_BY_SIZE[size])


INSTANCE_TYPES: Mapping[str, InstanceType] = MappingProxyType(_rows())
"""By name."""


def instance_type(name: str) -> InstanceType:
    """Return the row of a type.

    Raises:
        CloudError: the type is not in the table.

    """
    if name not in INSTANCE_TYPES:
        near = difflib.get_close_matches(name, INSTANCE_TYPES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(INSTANCE_TYPES)}"
        raise CloudError(
            f"instance type {name!r} is not in the table of components/aws/instance_types.py; {hint}"
        )
    return INSTANCE_TYPES[name]


def fit(instance: InstanceType, demand: Demand) -> None:
    """Refuse a pod that fits on no node of this type.

    Raises:
        CloudError: it requests more than a node has; names the first such resource.

    """
    offered = {
        "GPUs": (demand.gpus, instance.gpus),
        "EFA interfaces": (demand.efa_interfaces, instance.efa_interfaces),
        "vCPUs": (demand.vcpus, instance.pod_vcpus),
        "GiB of memory": (demand.memory_gib, instance.pod_memory_gib),
        "GB of local scratch": (demand.scratch_gb, instance.nvme_gb),
    }
    for what, (asked, there) in offered.items():
        if asked < 0:
            raise CloudError(f"a pod cannot request {asked:g} {what}; the minimum is 0")
        if asked > there:
            raise CloudError(
                f"a pod requests {asked:g} {what}, but a {instance.name} node has {there} for it; "
                "request less or use a larger instance type"
            )
