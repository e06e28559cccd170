"""The comment: what it shows, what it never shows, and how long it is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from previews.comment import Verdict, comment
from previews.costs.estimate import estimate
from previews.dangers import dangers_of
from previews.events import Changes, changes_of
from previews.github import LIMIT
from previews.sandbox import Previewed
from stacks.scenarios import SCENARIOS

URN = "urn:pulumi:s2::project::{}::{}"


def event(
    op: str, kind: str, name: str, old: dict[str, Any] | None, new: dict[str, Any] | None
) -> dict[str, Any]:
    told: dict[str, Any] = {"op": op, "type": kind, "urn": URN.format(kind, name)}
    told |= {
        "old": {"inputs": old} if old is not None else None,
        "new": {"inputs": new} if new is not None else None,
    }
    return {"resourcePreEvent": {"metadata": told}}


def changes(*events: dict[str, Any], new: bool = False) -> Changes:
    done = {"summaryEvent": {"result": "succeeded"}}
    return changes_of(Previewed(stack="s2", events=[*events, done], plan={}, is_new=new, secrets=0))


def verdict(told: Changes) -> Verdict:
    scenario = SCENARIOS["s2-cloud-training"]
    return Verdict(scenario=scenario, changes=told, dangers=dangers_of(told), before=None, after=None)


def test_a_thousand_changes_are_one_comment_below_the_limit_with_what_is_dangerous_in_it() -> None:
    events = [
        event(
            "update",
            "aws:ec2/vpc:Vpc",
            f"network-{number}",
            {"cidrBlock": "10.0.0.0/16"},
            {"cidrBlock": "x" * 60},
        )
        for number in range(990)
    ]
    events += [event("delete", "aws:s3/bucket:Bucket", f"bucket-{number}", {}, None) for number in range(10)]
    text = comment([verdict(changes(*events))])
    assert len(text) <= LIMIT
    assert text.count("deletes a bucket") == 10
    assert "more changes in the job's artefact" in text
    assert "~990 -10" in text


def test_a_thousand_stacks_still_fit() -> None:
    told = changes(event("delete", "aws:s3/bucket:Bucket", "bucket", {}, None))
    assert len(comment([verdict(told)] * 1_000)) <= LIMIT


def test_what_costs_the_same_is_one_line_and_what_has_no_price_is_named() -> None:
    endpoint = {"vpcEndpointType": "Interface", "subnetIds": ["a", "b"]}
    resources = [("aws:ec2/vpcEndpoint:VpcEndpoint", name, endpoint) for name in ("sts", "ecr")]
    unpriced = [
        ("aws:cloudwatch/logGroup:LogGroup", "audit", {}),
        (
            "aws:eks/nodeGroup:NodeGroup",
            "nodes",
            {"instanceTypes": ["x9.huge"], "scalingConfig": {"maxSize": 2}},
        ),
    ]
    text = comment([replace(verdict(changes()), after=estimate([*resources, *unpriced], "eu-central-1"))])
    assert "  - interface endpoint: 4 x 0.012 USD an hour, of 2026-09-22\n" in text
    (first, *_) = text.partition("- costs:")[2].splitlines()[1:]
    assert first.startswith("  - without a price: `node x9.huge, all 2 of them`, ")
    assert "`LogGroup`" in first


def test_none_of_fifty_planted_secrets_is_shown_whatever_they_are_called_and_wherever_they_are() -> None:
    planted = [f"hunter{number}-secret" for number in range(50)]
    events = []
    for number, secret in enumerate(planted):
        old = {
            "password": "old",
            "variables": {"token": "old"},
            "list": [{"deep": "old"}],
            f"x{number}": "old",
        }
        new = json.loads(json.dumps(old).replace('"old"', json.dumps(secret)))
        events.append(event("update", "aws:iam/role:Role", f"role-{number}", old, new))
        events.append(event("create", "aws:iam/role:Role", f"new-{number}", None, new))
    told = changes(*events)
    text = comment([verdict(told)]) + json.dumps([each.shown() for s in told.steps for each in s.differences])
    assert [secret for secret in planted if secret in text] == []
    assert "`password`" in text


def test_words_from_outside_cannot_break_out_of_their_place() -> None:
    evil = "a|b`c\n# d <script>"
    told = changes(
        event("update", "aws:ec2/vpc:Vpc", evil, {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": evil}),
    )
    rows = [line for line in comment([verdict(told)]).splitlines() if line.startswith("| ~")]
    assert len(rows) == 1
    assert rows[0].count("|") == 4
    told = Changes(stack="s2", steps=(), outputs={}, error="```\n# gone", is_new=False, uncompared=0)
    assert comment([verdict(told)]).count("```") == 2


def test_an_address_is_shown_without_what_lets_anybody_in() -> None:
    old = {"url": "https://user:hunter2@models.example.com/a?X-Amz-Signature=hunter3"}
    told = changes(event("update", "aws:ec2/vpc:Vpc", "one", old, {"url": "s3://models/b"}))
    text = comment([verdict(told)])
    assert "hunter" not in text
    assert "`https://models.example.com/a` → `s3://models/b`" in text


def test_of_a_type_that_is_not_known_it_says_that_it_may_be_replaced() -> None:
    text = comment(
        [verdict(changes(event("update", "aws:rds/instance:Instance", "one", {"a": 1}, {"a": 2})))]
    )
    assert "whether this replaces it is not known here" in text
