"""Kubernetes' quantities: `8`, `500m`, `64Gi`; read, multiplied, and written as an API server does.

Any other notation would show as a permanent diff. Source:
<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.utils.quantity import parse_quantity

from components.errors import ClusterError

if TYPE_CHECKING:
    from decimal import Decimal

_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "": 0, "m": -3, "u": -6, "n": -9}


def amount(text: str, where: str) -> Decimal:
    """Return a quantity's value.

    Raises:
        ClusterError: it is invalid; the message begins with `where`.

    """
    try:
        found: Decimal = parse_quantity(text)  # type: ignore[no-untyped-call]
    except ValueError:
        message = f"{where}: {text!r} is not a Kubernetes quantity, such as 8, 500m or 64Gi"
        raise ClusterError(message) from None
    return found


def canonical(text: str, where: str, *, times: int = 1) -> str:
    """Return the quantity multiplied by `times`, as an API server writes it. Raises as `amount` does."""
    whole = amount(text, where) * times
    if text.endswith("i"):
        power = max(power for power in range(len(_BINARY)) if whole % 1024**power == 0) if whole else 0
        if whole % 1 == 0:
            return f"{int(whole / 1024**power)}{_BINARY[power]}"
    for suffix, exponent in _DECIMAL.items():
        scaled = whole.scaleb(-exponent)
        if whole and scaled == int(scaled):
            return f"{int(scaled)}{suffix}"
    return "0"
