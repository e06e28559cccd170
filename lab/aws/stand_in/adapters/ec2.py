"""Base of EC2's resources: created with tags; described, tagged and deleted by ID."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter, Properties
from lab.aws.stand_in.conversion import tag_list

if TYPE_CHECKING:
    from lab.aws.stand_in.cloud import Cloud


class Ec2(Adapter):
    """A resource of EC2."""

    service = "ec2"
    kind: ClassVar[str]
    """EC2's type in tags and ARNs, such as `vpc`."""
    holds: ClassVar[str]
    """The member of the create response with the resource."""
    identity: ClassVar[str]
    """The member that is its ID, and by which it is deleted."""
    describes: ClassVar[tuple[str, str, str]]
    """Operation, request member with IDs, response member with resources."""
    deletes: ClassVar[str]

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        """Create it with its tags."""
        members = self.members(inputs)
        if tags:
            members["TagSpecifications"] = [{"ResourceType": self.kind, "Tags": tag_list(tags)}]
        answer = self.call(aws, self.creates, **members)
        return str((answer[self.holds] if self.holds else answer)[self.identity])

    def describe(self, aws: Cloud, identity: str) -> Properties:
        """Return EC2's description. Raises GoneError, also if EC2 still lists a deleted one."""
        operation, asked, told = self.describes
        found = self.call(aws, operation, **{asked: [identity]})[told]
        if not found or str(found[0].get("State")).lower() in {"deleted", "deleting"}:
            raise GoneError(identity)
        described: Properties = found[0]
        return described

    def read(self, aws: Cloud, identity: str) -> Properties:
        """Return its properties with ARN and tags."""
        item = self.describe(aws, identity)
        return {
            "arn": self.arn(aws, identity),
            "ownerId": aws.account,
            "tags": {},
            **self.outputs(item),
            **self.derived(aws, identity, item),
        }

    def arn(self, aws: Cloud, identity: str) -> str:
        """Return the ARN of an EC2 resource."""
        return f"arn:aws:ec2:{aws.region}:{aws.account}:{self.kind}/{identity}"

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        """Return properties that differ from EC2's description."""
        return {}

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        """Set tags and delete removed ones."""
        if gone:
            self.call(aws, "DeleteTags", Resources=[identity], Tags=[{"Key": key} for key in gone])
        if new:
            self.call(aws, "CreateTags", Resources=[identity], Tags=tag_list(new))

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        """Delete it by ID."""
        self.call(aws, self.deletes, **{self.identity: identity})


def filters(**wanted: Any) -> list[dict[str, Any]]:
    """Return EC2's filters, from names written with underscores."""
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in wanted.items()]
