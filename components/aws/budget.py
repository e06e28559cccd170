"""An alert before training exceeds its budget; AWS does not stop anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import budgets

from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALARMS = (("ACTUAL", 50.0), ("ACTUAL", 80.0), ("ACTUAL", 100.0), ("FORECASTED", 100.0))
"""Percent of the limit, actual or forecast."""
_MOST_ADDRESSES = 10
"""AWS's limit for a notification."""


@dataclass(frozen=True, kw_only=True)
class BudgetArgs:
    """Inputs of a budget.

    Attributes:
        monthly_usd: the monthly limit in US dollars.
        emails: addresses to notify.
        tag: key and value of the tag whose costs count; without it all costs of the account. AWS counts by a
            tag only after it is activated as cost allocation tag in the billing console.

    """

    monthly_usd: int
    emails: Sequence[str]
    tag: tuple[str, str] | None = None


class Budget(pulumi.ComponentResource):
    """A monthly budget that sends alerts at 50, 80 and 100 percent.

    Raises:
        CloudError: the limit is below 1, or there are no addresses, too many, or an invalid one.

    """

    budget_name: pulumi.Output[str]

    def __init__(self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the budget under `name`."""
        if args.monthly_usd < 1:
            raise CloudError(f"monthly_usd is {args.monthly_usd}; it must be at least 1")
        if not 1 <= len(args.emails) <= _MOST_ADDRESSES:
            raise CloudError(
                f"a budget needs 1 to {_MOST_ADDRESSES} e-mail addresses, not {len(args.emails)}"
            )
        for address in args.emails:
            if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address):
                raise CloudError(f"invalid e-mail address {address!r}; write it as in team@example.com")
        super().__init__("scenario:aws:Budget", name, None, opts)
        counted = [f"user:{key}${value}" for key, value in [args.tag or ("", "")] if key]
        made = budgets.Budget(
            name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{args.monthly_usd}.0",
            limit_unit="USD",
            cost_filters=(
                [budgets.BudgetCostFilterArgs(name="TagKeyValue", values=counted)] if counted else None
            ),
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_email_addresses": list(args.emails),
                }
                for kind, percent in _ALARMS
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.budget_name = made.name
        self.register_outputs({"budget_name": self.budget_name})
