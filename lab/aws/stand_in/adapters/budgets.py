"""Budgets: an alert on a scenario's costs. moto does not store their tags or change budgets."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from lab.aws.stand_in.adapter import Adapter

if TYPE_CHECKING:
    from lab.aws.stand_in import sdk
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud

_PERIOD = "%Y-%m-%d_%H:%M"


class Budget(Adapter):
    token, service, creates = "aws:budgets/budget:Budget", "budgets", "CreateBudget"
    replaces = frozenset(
        {
            *("name", "accountId", "budgetType", "timeUnit", "limitAmount", "limitUnit"),
            *("costFilters", "costTypes", "notifications", "timePeriodStart", "timePeriodEnd"),
        }
    )
    names = {"budget.name": "BudgetName", "budget.notifications": None}
    autoname = "name"
    tagged = False

    def request(self, inputs: Properties) -> tuple[Properties, list[sdk.Fault]]:
        """The properties are those of the budget, a shape inside the request."""
        inner = dict(inputs)
        amount = {"amount": inner.pop("limitAmount", None), "unit": inner.pop("limitUnit", None)}
        period = {"start": inner.pop("timePeriodStart", None), "end": inner.pop("timePeriodEnd", None)}
        for name in ("accountId", "region"):
            inner.pop(name, None)
        inner |= {"budgetLimit": amount} if amount["amount"] else {}
        inner["costFilters"] = {each["name"]: each["values"] for each in inner.get("costFilters") or []}
        members, faults = super().request({"budget": inner})
        told = {name: dt.datetime.strptime(text, _PERIOD) for name, text in period.items() if text}  # noqa: DTZ007
        if told:
            members["Budget"]["TimePeriod"] = {name.title(): each for name, each in told.items()}
        return members, [(path.removeprefix("budget."), fault) for path, fault in faults]

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        account = inputs.get("accountId") or aws.account
        self.call(
            aws,
            self.creates,
            AccountId=account,
            **self.members(inputs),
            NotificationsWithSubscribers=[_notification(each) for each in inputs.get("notifications") or []],
        )
        return f"{account}:{inputs['name']}"

    def read(self, aws: Cloud, identity: str) -> Properties:
        account, _, name = identity.partition(":")
        budget = self.call(aws, "DescribeBudget", AccountId=account, BudgetName=name)["Budget"]
        limit = budget.get("BudgetLimit", {})
        return {
            "arn": f"arn:aws:budgets::{account}:budget/{name}",
            "accountId": account,
            "name": name,
            "budgetType": budget["BudgetType"],
            "timeUnit": budget["TimeUnit"],
            "limitAmount": limit.get("Amount"),
            "limitUnit": limit.get("Unit"),
        }

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        account, _, name = identity.partition(":")
        self.call(aws, "DeleteBudget", AccountId=account, BudgetName=name)


def _notification(told: Properties) -> Properties:
    people = {"EMAIL": "subscriberEmailAddresses", "SNS": "subscriberSnsTopicArns"}
    return {
        "Notification": {
            "NotificationType": told["notificationType"],
            "ComparisonOperator": told["comparisonOperator"],
            "Threshold": told["threshold"],
            "ThresholdType": told["thresholdType"],
        },
        "Subscribers": [
            {"SubscriptionType": kind, "Address": each}
            for kind, name in people.items()
            for each in told.get(name) or []
        ],
    }


ADAPTERS = (Budget,)
