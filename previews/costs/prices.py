"""Prices per hour in US dollars, each with date and source.

Instances: `instances.json`, from the tables that Karpenter generates (us-east-1), and for other regions from an older
public table: the date says how old. The few others are AWS's list prices, as its pages, its price list and (NAT
gateways in eu-central-1) a bill were read on the date. A region for which none was found has none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ANYWHERE = ""
HOURS = 730
"""Of a month, as AWS counts."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per hour, `as_of` a day."""

    per_hour: float
    as_of: str
    source: str


_EKS, _VPC = "https://aws.amazon.com/eks/pricing/", "https://aws.amazon.com/vpc/pricing/"
_EBS, _KMS = "https://aws.amazon.com/ebs/pricing/", "https://aws.amazon.com/kms/pricing/"
_LISTED: dict[tuple[str, str], Price] = {
    ("cluster", ANYWHERE): Price(0.10, "2026-06-13", _EKS),
    ("address", ANYWHERE): Price(0.005, "2026-02-24", _VPC),
    ("key", ANYWHERE): Price(1 / HOURS, "2026-03-14", _KMS),
    ("nat", "us-east-1"): Price(0.045, "2026-06-01", _VPC),
    ("nat", "eu-central-1"): Price(0.052, "2026-09-28", _VPC),
    ("endpoint", "us-east-1"): Price(0.010, "2026-06-01", _VPC),
    ("endpoint", "eu-central-1"): Price(0.012, "2026-09-22", _VPC),
    # A GiB of gp3, with the throughput that every volume has.
    ("disk", "us-east-1"): Price(0.08 / HOURS, "2026-08-17", _EBS),
    ("disk", "eu-central-1"): Price(0.0952 / HOURS, "2026-08-26", _EBS),
    ("disk", "eu-west-1"): Price(0.088 / HOURS, "2026-05-01", _EBS),
    ("disk", "ap-northeast-1"): Price(0.096 / HOURS, "2026-09-10", _EBS),
}


def listed(what: str, region: str) -> Price | None:
    """Return a price that does not depend on a size; None if it is not known in this region."""
    return _LISTED.get((what, region)) or _LISTED.get((what, ANYWHERE))


def instance(name: str, region: str) -> Price | None:
    """Return an instance type's price on demand; None if it is not known in this region."""
    table = _instances().get(region)
    if not table or name not in table["per_hour"]:
        return None
    return Price(table["per_hour"][name], table["as_of"], table["source"])


@cache
def _instances() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("instances.json").read_text(encoding="utf-8"))
    return found
