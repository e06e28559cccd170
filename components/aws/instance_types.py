"""The supported instance types, as published by AWS.

Sources, both read in November 2026: the EC2 instance types guide
(https://docs.aws.amazon.com/ec2/latest/instancetypes/ac.html, co.html, gp.html) and the answers of
DescribeInstanceTypes; how EFA interfaces are numbered: the EC2 user guide
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html). Of
g4dn, gr6, g6f, gr6f, g7, g7e, m7g and m8g, the answers alone. Bare metal is left out, since memory of its nodes was
measured nowhere. Pods of a node: network interfaces times addresses without their own, and two, from nodeadm's
instance-info.jsonl (https://github.com/awslabs/amazon-eks-ami), July 2026.

EKS's image AL2023_x86_64_NVIDIA has drivers for all of them: for the parts of a GPU (g6f, gr6f) since its release of
2025-06-10, for g7 since that of 2026-09-17 (https://github.com/awslabs/amazon-eks-ami/releases).
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

# GPU model, then size: vCPUs, memory GiB, pods, GPUs, memory GiB of one, network cards, EFA interfaces, NVMe disks and
# GB each. Memory of a GPU is what DescribeInstanceTypes gives, rounded down. Of g6f and gr6f, which have a half, a
# quarter or an eighth of a GPU, it is that of the part, which Kubernetes counts as one GPU.
_GPU_FAMILIES: dict[str, tuple[str, dict[str, tuple[int, int, int, int, int, int, int, int, int]]]] = {
    "g4dn": (
        "T4",
        {
            "xlarge": (4, 16, 29, 1, 16, 1, 0, 1, 125),
            "2xlarge": (8, 32, 29, 1, 16, 1, 0, 1, 225),
            "4xlarge": (16, 64, 29, 1, 16, 1, 0, 1, 225),
            "8xlarge": (32, 128, 58, 1, 16, 1, 1, 1, 900),
            "12xlarge": (48, 192, 234, 4, 16, 1, 1, 1, 900),
            "16xlarge": (64, 256, 58, 1, 16, 1, 1, 1, 900),
        },
    ),
    "g5": (
        "A10G",
        {
            "xlarge": (4, 16, 58, 1, 22, 1, 0, 1, 250),
            "2xlarge": (8, 32, 58, 1, 22, 1, 0, 1, 450),
            "4xlarge": (16, 64, 234, 1, 22, 1, 0, 1, 600),
            "8xlarge": (32, 128, 234, 1, 22, 1, 1, 1, 900),
            "12xlarge": (48, 192, 737, 4, 22, 1, 1, 1, 3800),
            "16xlarge": (64, 256, 234, 1, 22, 1, 1, 1, 1900),
            "24xlarge": (96, 384, 737, 4, 22, 1, 1, 1, 3800),
            "48xlarge": (192, 768, 345, 8, 22, 1, 1, 2, 3800),
        },
    ),
    "g6": (
        "L4",
        {
            "xlarge": (4, 16, 58, 1, 22, 1, 0, 1, 250),
            "2xlarge": (8, 32, 58, 1, 22, 1, 0, 1, 450),
            "4xlarge": (16, 64, 234, 1, 22, 1, 0, 1, 600),
            "8xlarge": (32, 128, 234, 1, 22, 1, 1, 2, 450),
            "12xlarge": (48, 192, 234, 4, 22, 1, 1, 4, 940),
            "16xlarge": (64, 256, 737, 1, 22, 1, 1, 2, 940),
            "24xlarge": (96, 384, 737, 4, 22, 1, 1, 4, 940),
            "48xlarge": (192, 768, 737, 8, 22, 1, 1, 8, 940),
        },
    ),
    "gr6": (
        "L4",
        {
            "4xlarge": (16, 128, 234, 1, 22, 1, 0, 1, 600),
            "8xlarge": (32, 256, 234, 1, 22, 1, 1, 2, 450),
        },
    ),
    "g6f": (
        "L4",
        {
            "large": (2, 8, 20, 1, 2, 1, 0, 1, 100),
            "xlarge": (4, 16, 58, 1, 2, 1, 0, 1, 100),
            "2xlarge": (8, 32, 58, 1, 5, 1, 0, 1, 200),
            "4xlarge": (16, 64, 234, 1, 11, 1, 0, 1, 450),
        },
    ),
    "gr6f": ("L4", {"4xlarge": (16, 128, 234, 1, 11, 1, 0, 1, 450)}),
    "g6e": (
        "L40S",
        {
            "xlarge": (4, 32, 58, 1, 44, 1, 0, 1, 250),
            "2xlarge": (8, 64, 58, 1, 44, 1, 0, 1, 450),
            "4xlarge": (16, 128, 234, 1, 44, 1, 0, 1, 600),
            "8xlarge": (32, 256, 234, 1, 44, 1, 1, 2, 450),
            "12xlarge": (48, 384, 292, 4, 44, 1, 1, 2, 1900),
            "16xlarge": (64, 512, 737, 1, 44, 1, 1, 2, 950),
            "24xlarge": (96, 768, 492, 4, 44, 2, 2, 2, 1900),
            "48xlarge": (192, 1536, 492, 8, 44, 4, 4, 4, 1900),
        },
    ),
    "g7": (
        "RTX PRO 4500",
        {
            "2xlarge": (8, 32, 254, 1, 32, 1, 0, 1, 440),
            "4xlarge": (16, 64, 506, 1, 32, 1, 0, 1, 875),
            "8xlarge": (32, 128, 632, 1, 32, 1, 1, 1, 930),
            "12xlarge": (48, 192, 758, 2, 32, 1, 1, 1, 1900),
            "24xlarge": (96, 384, 1514, 4, 32, 1, 1, 1, 3800),
            "48xlarge": (192, 768, 758, 8, 32, 2, 2, 2, 3800),
        },
    ),
    "g7e": (
        "RTX PRO Server 6000",
        {
            "2xlarge": (8, 64, 254, 1, 96, 1, 0, 1, 1900),
            "4xlarge": (16, 128, 506, 1, 96, 1, 0, 1, 1900),
            "8xlarge": (32, 256, 506, 1, 96, 1, 1, 1, 1900),
            "12xlarge": (48, 512, 632, 2, 96, 1, 1, 1, 3800),
            "24xlarge": (96, 1024, 632, 4, 96, 2, 2, 2, 3800),
            "48xlarge": (192, 2048, 632, 8, 96, 4, 4, 4, 3800),
        },
    ),
    "p4d": ("A100", {"24xlarge": (96, 1152, 737, 8, 40, 4, 4, 8, 1000)}),
    "p4de": ("A100", {"24xlarge": (96, 1152, 737, 8, 80, 4, 4, 8, 1000)}),
    "p5": (
        "H100",
        {
            "4xlarge": (16, 256, 118, 1, 80, 1, 1, 1, 3800),
            "48xlarge": (192, 2048, 100, 8, 80, 32, 32, 8, 3800),
        },
    ),
    "p5e": ("H200", {"48xlarge": (192, 2048, 100, 8, 141, 32, 32, 8, 3800)}),
    "p5en": ("H200", {"48xlarge": (192, 2048, 198, 8, 141, 16, 16, 8, 3800)}),
    "p6-b200": ("B200", {"48xlarge": (192, 2048, 198, 8, 179, 8, 8, 8, 3800)}),
    # Its first network card carries IP traffic only.
    "p6-b300": ("B300", {"48xlarge": (192, 4096, 198, 8, 268, 17, 16, 8, 3800)}),
}
# By size: vCPUs and pods.
_CPU_SIZES = {
    "large": (2, 29),
    "xlarge": (4, 58),
    "2xlarge": (8, 58),
    "4xlarge": (16, 234),
    "8xlarge": (32, 234),
} | {
    "12xlarge": (48, 234),
    "16xlarge": (64, 737),
    "24xlarge": (96, 737),
    "48xlarge": (192, 737),
}
_CPU_FAMILIES = {"c7i": (2, "co.html"), "m7i": (4, "gp.html")}
"""GiB of memory per vCPU, and the page of the guide. The largest size has an EFA interface."""
_ARM_FAMILIES, _ARM_SIZES = ("m7g", "m8g"), ("large", "xlarge", "2xlarge", "4xlarge")
"""Graviton, 4 GiB per vCPU: for a cluster's own services, which need no larger ones."""


def _rows() -> dict[str, InstanceType]:
    rows = [
        InstanceType(
            name=f"{family}.{size}",
            vcpus=vcpus,
            memory_gib=memory,
            max_pods=pods,
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
        for family, (model, sizes) in _GPU_FAMILIES.items()
        for size, (vcpus, memory, pods, gpus, gpu_memory, cards, efa, disks, disk) in sizes.items()
    ]
    rows += [
        InstanceType(
            name=f"{family}.{size}",
            vcpus=vcpus,
            memory_gib=vcpus * gib,
            max_pods=pods,
            efa_interfaces=int(size == "48xlarge"),
            source=f"{_GUIDE}/{page}",
            as_of=_READ,
        )
        for family, (gib, page) in _CPU_FAMILIES.items()
        for size, (vcpus, pods) in _CPU_SIZES.items()
    ]
    rows += [
        InstanceType(
            name=f"{family}.{size}",
            vcpus=_CPU_SIZES[size][0],
            memory_gib=4 * _CPU_SIZES[size][0],
            max_pods=_CPU_SIZES[size][1],
            architecture="arm64",
            source=f"{_GUIDE}/gp.html",
            as_of=_READ,
        )
        for family in _ARM_FAMILIES
        for size in _ARM_SIZES
    ]
    return {row.name: row for row in rows}


INSTANCE_TYPES: Mapping[str, InstanceType] = MappingProxyType(_rows())
"""By name."""


def instance_type(name: str) -> InstanceType:
    """Return the row of a type.

    Raises:
        CloudError: the type is not in the table.

    """
    if name not in INSTANCE_TYPES:
        near = difflib.get_close_matches(name, INSTANCE_TYPES, n=1)
        families = dict.fromkeys(each.partition(".")[0] for each in INSTANCE_TYPES)
        hint = f"did you mean {near[0]!r}?" if near else f"known are sizes of {', '.join(families)}"
        raise CloudError(
            f"instance type {name!r} is not in the table of components/aws/instance_types.py; {hint}"
        )
    return INSTANCE_TYPES[name]


def fit(instance: InstanceType, demand: Demand) -> None:
    """Refuse a pod that fits on no node of this type.

    Raises:
        CloudError: it requests more than a node has (names the first such resource), or nodes are of another
            architecture than the model package's image.

    """
    if instance.architecture != "x86_64":
        raise CloudError(
            f"{instance.name} nodes have {instance.architecture} processors, and the model package's image is for "
            "x86_64; use another instance type"
        )
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
