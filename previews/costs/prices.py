"""Prices per hour in US dollars, each with date and source.

Instances: `instances.json`, from the tables that Karpenter generates (us-east-1), and for other regions from an older
public table: the date says how old. The few others are AWS's list prices, as their pages were read on the date.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ANYWHERE = ""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per hour, `as_of` a day."""

    per_hour: float
    as_of: str
    source: str


_EKS, _VPC = "https://aws.amazon.com/eks/pricing/", "https://aws.amazon.com/vpc/pricing/"
_LISTED: dict[tuple[str, str], Price] = {
    ("cluster", ANYWHERE): Price(0.10, "2026-06-13", _EKS),
    ("address", ANYWHERE): Price(0.005, "2026-02-24", _VPC),
    ("nat", "us-east-1"): Price(0.045, "2026-06-01", _VPC),
    ("endpoint", "us-east-1"): Price(0.010, "2026-06-01", _VPC),
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
