"""EC2's own names of two types of resources, where it tells of tags; moto has others."""

from __future__ import annotations

_NAMES = {"nat": "natgateway", "eipalloc": "elastic-ip"}


def install() -> None:
    """Patch moto in this process."""
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE

    EC2_PREFIX_TO_RESOURCE.update(_NAMES)
