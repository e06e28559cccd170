"""Answers to the rows as AWS would give them, by an evaluator of its policies: one process for the whole table.

Identity, resource, key and endpoint policies decide together, with all conditions. The account has no policies of an
organization and no permissions boundaries. Whoever has a role asks as that role, not as one of its sessions.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.model.serve.test_client_libraries import prepared
from tests.stacks.policy_table import arns, given
from tests.stacks.policy_table.breaking import loosened, statements, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.stacks.policy_table.account import Account, Document
    from tests.stacks.policy_table.rows import Row

_EVALUATOR = Path(__file__).parent / "evaluator"
_INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
_WHOLE, _LOOSENED = "as it is", "with everything loosened"


@dataclass
class Questions:
    """Requests with the policies that apply to them, to be answered together."""

    policies: dict[str, int] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, row: Row, action: str, account: Account, documents: dict[str, Document | None]) -> int:
        """Add a request; return its place among the answers."""
        endpoint, endpoint_id = _endpoint(row, action, account)
        resource = _attached(row.resource, account)
        block = account.blocked.get(row.resource.partition("/")[0])
        self.asked.append(
            {
                "principal": row.who.arn,
                "action": action,
                "resource": row.resource,
                "account": _owner(row),
                "context": _context(row, action, endpoint_id),
                "identity": [
                    place
                    for name in account.identities.get(row.who.arn or "", [])
                    if (place := self._place(documents[name])) is not None
                ],
                "resource_policy": self._place(documents[resource]) if resource else None,
                "endpoint_policy": self._place(documents[endpoint]) if endpoint else None,
                "public_access_blocked": bool(block and documents[block] is not None),
            }
        )
        return len(self.asked) - 1

    def _place(self, document: Document | None) -> int | None:
        return (
            None if document is None else self.policies.setdefault(json.dumps(document), len(self.policies))
        )

    def answers(self, cache: Path) -> list[bool]:
        """Ask them all. Raises RuntimeError if AWS knows no such action, resource or context key."""
        node = shutil.which("node")
        if not node:
            pytest.skip("needs node: apt-get install nodejs npm")
        told = {"policies": [json.loads(each) for each in self.policies], "questions": self.asked}
        done = subprocess.run(
            [node, prepared(cache, _EVALUATOR, *_INSTALL) / "evaluate.js"],
            input=json.dumps(told),
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        answers = json.loads(done.stdout)
        assert isinstance(answers, list)
        return answers


def applying(row: Row, action: str, account: Account) -> list[str]:
    """Names of the policies that decide about a request."""
    endpoint, _ = _endpoint(row, action, account)
    found = [*account.identities.get(row.who.arn or "", []), _attached(row.resource, account), endpoint]
    return [name for name in found if name]


def _endpoint(row: Row, action: str, account: Account) -> tuple[str | None, str | None]:
    if not row.place.inside:
        return None, None
    return account.endpoints[row.place.endpoint or action.partition(":")[0]]


def _attached(arn: str, account: Account) -> str | None:
    return account.resources.get(arn) or account.resources.get(arn.partition("/")[0])


def _owner(row: Row) -> str:
    named = row.resource.split(":")[4] if row.resource != "*" else row.who.account
    return named or given.OWNERS.get(row.resource.partition("/")[0], arns.ACCOUNT)


def _context(row: Row, action: str, endpoint_id: str | None) -> dict[str, str]:
    context: dict[str, str | None] = {"aws:SecureTransport": "true", "aws:RequestedRegion": arns.REGION}
    if action.startswith("s3:"):
        context["s3:TlsVersion"] = "1.3"
    if row.who.account:
        context |= {"aws:PrincipalArn": row.who.arn, "aws:PrincipalAccount": row.who.account}
    elif row.who.arn:
        context["aws:PrincipalIsAWSService"] = "true"
    context |= {"aws:SourceVpce": endpoint_id, **row.place.context, **row.how.context}
    return {key: value for key, value in context.items() if value is not None}


@dataclass
class Verdict:
    """What became of a row.

    Attributes:
        allowed: whether each of its actions is.
        needs: of each action, the statements without which it is not allowed.
        without_all: whether each action is allowed once everything that keeps it out has gone.
        enough: of each action, what keeps it out even if all else has gone.

    """

    allowed: dict[str, bool] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    without_all: dict[str, bool] = field(default_factory=dict)
    enough: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def judge(rows: Iterable[Row], accounts: dict[str, Account], cache: Path) -> dict[Row, Verdict]:
    """Ask about each row as it is, and with each thing missing on which it hangs."""
    questions = Questions()
    meant: list[tuple[Row, str, str, int]] = []
    for row in rows:
        for action in row.actions:
            for name, documents in _variants(row, action, accounts[row.stack]):
                place = questions.ask(row, action, accounts[row.stack], documents)
                meant.append((row, action, name, place))
    answers = questions.answers(cache)
    verdicts: dict[Row, Verdict] = defaultdict(Verdict)
    for row, action, name, place in meant:
        verdict, allowed = verdicts[row], answers[place]
        if name == _WHOLE:
            verdict.allowed[action] = allowed
        elif name == _LOOSENED:
            verdict.without_all[action] = allowed
        elif not allowed:
            (verdict.needs if row.allowed else verdict.enough)[action].add(name)
    return verdicts


def _variants(row: Row, action: str, account: Account) -> Iterator[tuple[str, dict[str, Document | None]]]:
    """Yield the policies as they are, then with something missing, by what that is or what alone is left."""
    documents, who = account.documents, row.who.arn
    yield _WHOLE, documents
    if row.allowed:
        for name in applying(row, action, account):
            for statement, _ in statements(name, documents[name]):
                yield statement, {**documents, name: without(name, documents[name], statement)}
        return
    yield _LOOSENED, loosened(documents, row.because_of, who)
    for each in sorted(row.because_of):
        yield each, loosened(documents, row.because_of - {each}, who)
