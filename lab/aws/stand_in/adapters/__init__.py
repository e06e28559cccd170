"""The adapters, by service. Types without an adapter are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in.adapters import (
    budgets,
    compute,
    ecr,
    eks,
    eks_access,
    endpoints,
    iam,
    kms,
    load_balancers,
    logs,
    network,
    routes,
    s3,
    s3_settings,
    security_groups,
    security_rules,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.aws.stand_in.adapter import Adapter

_MODULES = (
    *(
        budgets,
        compute,
        ecr,
        eks,
        eks_access,
        endpoints,
        iam,
        kms,
        load_balancers,
        logs,
        network,
        routes,
        s3,
        s3_settings,
    ),
    *(routes, s3, s3_settings, security_groups, security_rules),
)


def all_of_them() -> Iterator[Adapter]:
    """Yield one adapter for each supported resource type."""
    for module in _MODULES:
        yield from (each() for each in module.ADAPTERS)
