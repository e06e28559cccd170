"""After a killed update: list what it created in AWS without recording it.

`pulumi stack export | python -m recovery.aws.untracked --region REGION --tag KEY=VALUE`

An engine killed while AWS creates a resource never records the result. Whatever carries the stack's tag but
is not in the state is untracked. Instances, their disks and interfaces are skipped: node groups and endpoints
create and delete them.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from bootstrap.console import run
from recovery import RecoveryError
from recovery.aws.session import add_arguments, asking
from recovery.aws.tagged import Tag, tagged_resources

if TYPE_CHECKING:
    from collections.abc import Iterator

_MADE_BY_OTHERS = ("instance ", "volume ", "network-interface ")


def untracked(left: list[str], export: dict[str, Any]) -> list[str]:
    """Return those of `tagged_resources` that are not in an exported stack.

    Raises:
        RecoveryError: the input is not a stack export.

    """
    known = set(_texts([[each.get("id"), each.get("outputs")] for each in resources_of(export)]))
    # The whole ARN, or the name at its end: a bucket has no other ID.
    return [
        each
        for each in left
        if not each.startswith(_MADE_BY_OTHERS)
        and not {each, each.rpartition(" ")[2], each.rpartition(":::")[2]} & known
    ]


def resources_of(export: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the resources in an exported stack.

    Raises:
        RecoveryError: the input is not a stack export.

    """
    deployment = export.get("deployment")
    if not isinstance(deployment, dict):
        raise RecoveryError("standard input is not a `pulumi stack export`: it has no deployment")
    resources: list[dict[str, Any]] = deployment.setdefault("resources", [])  # empty in a new stack
    return resources


def _texts(value: object) -> Iterator[str]:
    """Yield every string in nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def main() -> None:
    """List what is untracked; exit with 1 if there is anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--tag", required=True, metavar="KEY=VALUE", help="the tag of the stack")
    arguments = parser.parse_args()
    try:
        tag = Tag.of(arguments.tag)
        export = json.load(sys.stdin)
        found = untracked(
            tagged_resources(asking(arguments), tag), export if isinstance(export, dict) else {}
        )
    except ValueError:
        sys.exit("untracked: standard input is not JSON; pipe `pulumi stack export` into it")
    except RecoveryError as error:
        sys.exit(f"untracked: {error}")
    if found:
        told = f"untracked: {len(found)} of {arguments.tag} are not in the state; `pulumi import` or delete them:"
        sys.exit("\n  ".join([told, *found]))
    print(f"everything in {arguments.region} that carries {arguments.tag} is in the state")


if __name__ == "__main__":
    run(main)
