"""Who may do what to which ARN in the life of s2-cloud-training as shipped, by all its policies together.

The policies of people, of AWS's services and of other accounts are the test's own; those of roles, of the bucket, of
keys, repositories and endpoints are the program's, and AWS's managed ones are AWS's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import tests.aws_sdk  # noqa: F401 loads it
from tests.stacks.policy_table import given, rows
from tests.stacks.policy_table.account import deployed
from tests.stacks.policy_table.breaking import statements
from tests.stacks.policy_table.judging import judge
from tests.stacks.policy_table.rows import INSIDE, How, may
from tests.stacks.policy_table.table import bucket, cluster, images, keys, roles, shells

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from tests.stacks.policy_table.account import Account
    from tests.stacks.policy_table.judging import Verdict
    from tests.stacks.policy_table.rows import Row

TABLE = [*bucket.ROWS, *images.ROWS, *keys.ROWS, *cluster.ROWS, *roles.ROWS, *shells.ROWS]
ALLOWED = [row for row in TABLE if row.allowed]
DENIED = [row for row in TABLE if not row.allowed]

NEVER_DECISIVE = {
    # AWS lets everybody ask who they are, whatever policies say.
    ("endpoint sts/0", "sts:GetCallerIdentity"),
    # AmazonEKSClusterPolicy allows it too.
    ("training-secrets/0", "kms:DescribeKey"),
    # It has no encryption context, so the condition never holds; AWS's own example has it all the same:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    ("key training/LogsOfThisCluster", "kms:DescribeKey"),
}
"""Operations that a statement allows for the sake of AWS's advice, by the statement."""


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Account]:
    """The account, once for each variant of the shipped settings that rows are about."""
    public = tmp_path_factory.mktemp("signing") / "key.pem"
    public.write_text("of a key in KMS\n")
    opened = {
        "cloud__readers": [given.READER.arn],
        "cloud__input_keys": [given.KEY_OF_MODELS],
        "own__signing": {"kind": "kms", "arn": given.OWN_SIGNING_KEY, "verification_key": str(public)},
    }
    closed = {"cloud__nat": False, "cloud__registry": "mirror", "cloud__session_manager": True}
    made = {
        rows.SHIPPED: deployed(),
        rows.OPENED: deployed(**opened),
        rows.CLOSED: deployed(**closed),
    }
    for account in made.values():
        given.add(account)
    return made


@pytest.fixture(scope="module")
def verdicts(accounts: dict[str, Account], cache: Path) -> dict[Row, Verdict]:
    return judge(TABLE, accounts, cache)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_it_is_as_the_table_says(row: Row, verdicts: dict[Row, Verdict]) -> None:
    assert verdicts[row].allowed == dict.fromkeys(row.actions, row.allowed)


@pytest.mark.parametrize("row", ALLOWED, ids=str)
def test_what_is_allowed_is_no_longer_without_any_statement_that_it_needs(
    row: Row, verdicts: dict[Row, Verdict]
) -> None:
    assert row.because_of
    assert verdicts[row].needs == dict.fromkeys(row.actions, row.because_of)


@pytest.mark.parametrize("row", DENIED, ids=str)
def test_what_is_denied_would_be_allowed_without_what_keeps_it_out_and_each_of_that_is_enough(
    row: Row, verdicts: dict[Row, Verdict]
) -> None:
    assert row.because_of
    assert verdicts[row].without_all == dict.fromkeys(row.actions, True)
    assert verdicts[row].enough == dict.fromkeys(row.actions, row.because_of)


def of_the_stack(accounts: dict[str, Account]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each statement that the program wrote."""
    for account in accounts.values():
        for name in account.written:
            yield from statements(name, account.documents[name])


def test_every_statement_lets_somebody_in_or_keeps_somebody_out_in_a_row(
    accounts: dict[str, Account],
) -> None:
    lets_in = {each for row in ALLOWED for each in row.because_of}
    keeps_out = {each for row in DENIED for each in row.because_of}
    for name, statement in of_the_stack(accounts):
        if statement["Effect"] == "Deny":
            assert name in keeps_out
            continue
        assert name in lets_in
        conditions = {key for each in statement.get("Condition", {}).values() for key in each}
        assert {f"{name}/{key}" for key in conditions} <= keeps_out


def test_every_operation_that_a_statement_allows_is_needed_in_a_row(accounts: dict[str, Account]) -> None:
    needed = {(each, action) for row in ALLOWED for each in row.because_of for action in row.actions}
    allowed = {
        (name, action)
        for name, statement in of_the_stack(accounts)
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }
    assert allowed - needed == NEVER_DECISIVE


def test_no_row_is_there_twice() -> None:
    assert len({str(row) for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize(
    ("action", "how", "said"),
    [
        ("s3:GetObjekt", How(""), "invalid.action"),
        ("s3:GetObject", How("", {"s3:TslVersion": "1.3"}), "s3:GetObject .* has no s3:TslVersion"),
        ("kms:Decrypt", How(""), "no.resource.types"),
    ],
)
def test_a_row_about_what_aws_does_not_know_is_an_error(
    action: str, how: How, said: str, accounts: dict[str, Account], cache: Path
) -> None:
    with pytest.raises(RuntimeError, match=said):
        judge([may(given.TRAINER, action, bucket.RELEASE, INSIDE, how=how)], accounts, cache)
