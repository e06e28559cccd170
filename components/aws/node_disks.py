"""What EKS leaves pods of a node's disk; pure, for previews.

With local disks, these are one array, and hold images, logs and pods' files; without, the first disk does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.errors import CloudError

if TYPE_CHECKING:
    from components.aws.instances import InstanceType

_LEFT_FREE = 0.1
"""The kubelet evicts pods below a tenth, and takes it off what it offers."""
_RESERVED_GIB = 1
"""nodeadm's kubeReserved. A disk of 20 GiB so offers 18242267924 bytes of its 20959212 KiB, which was measured."""
_FILE_SYSTEM = 0.004
"""What partitions and the file system take: 20893676 KiB are left of 20 GiB, 1756689344 KiB of twice 900 GB."""
_IMAGES_GIB = 60
"""The system, and two versions of a training image, which is 15 GB or more unpacked twice over."""


def allocatable_gib(instance: InstanceType, disk_gib: int) -> float:
    """Return the GiB that Kubernetes has for pods; `disk_gib`: the size of the first disk."""
    there = instance.nvme_gb * 1e9 / 2**30 if instance.nvme_disks else disk_gib
    return there * (1 - _FILE_SYSTEM) * (1 - _LEFT_FREE) - _RESERVED_GIB


def scratch_gib(instance: InstanceType, disk_gib: int) -> int:
    """Return the GiB that one pod may use, beside the images.

    Raises:
        CloudError: the disk is too small for anything but those.

    """
    left = int(allocatable_gib(instance, disk_gib) - _IMAGES_GIB)
    if left < 1:
        raise CloudError(
            f"cloud:nodes.disk_gib is {disk_gib}: after system and images a {instance.name} node has nothing left "
            "for pods; set it to 100 or more"
        )
    return left
