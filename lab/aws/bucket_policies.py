"""Bucket policies without conditions: moto ignores the condition of a Deny statement and denies everything.

Whether a request came by TLS or through a VPC endpoint cannot be determined here, so statements with
conditions are ignored.
"""

from __future__ import annotations

import json
from typing import Any


def install() -> None:
    """Patch moto in this process."""
    from moto.iam.access_control import IAMPolicy, PermissionResult
    from moto.s3.models import FakeBucket

    def get_permission(self: Any, action: str, resource: str) -> Any:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        statements = json.loads(self.policy)["Statement"]
        listed = statements if isinstance(statements, list) else [statements]
        judged = [each for each in listed if not each.get("Condition")]
        return IAMPolicy(json.dumps({"Statement": judged})).is_action_permitted(action, resource)

    FakeBucket.get_permission = get_permission
