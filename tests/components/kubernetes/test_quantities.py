"""Quantities come out as an API server writes them."""

from __future__ import annotations

import pytest

from components.errors import ClusterError
from components.kubernetes.quantities import canonical


@pytest.mark.parametrize(
    ("written", "times", "kept"),
    [
        ("8", 1, "8"),
        ("500m", 1, "500m"),
        ("500m", 2, "1"),
        ("1.5", 1, "1500m"),
        ("12000", 1, "12k"),
        ("64Gi", 1, "64Gi"),
        ("1024Gi", 1, "1Ti"),
        ("1.5Gi", 1, "1536Mi"),
        ("4Gi", 3, "12Gi"),
        ("8589934592", 1, "8589934592"),
        ("0", 5, "0"),
        ("0Gi", 1, "0"),
    ],
)
def test_a_quantity_is_written_in_one_way(written: str, times: int, kept: str) -> None:
    assert canonical(written, "quota", times=times) == kept


def test_what_is_no_quantity_is_refused_with_its_place() -> None:
    with pytest.raises(ClusterError, match="flavor p5: cpu: 'many' is not a Kubernetes quantity, such as 8"):
        canonical("many", "flavor p5: cpu")
