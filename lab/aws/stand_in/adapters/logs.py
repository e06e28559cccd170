"""Log groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class LogGroup(Adapter):
    token, service, creates = "aws:cloudwatch/logGroup:LogGroup", "logs", "CreateLogGroup"
    names = {"name": "logGroupName", "retentionInDays": None, "skipDestroy": None}
    reads = {"name": "logGroupName"}
    replaces = frozenset({"name", "logGroupClass"})
    updates = frozenset({"retentionInDays", "kmsKeyId", "skipDestroy"})
    autoname = "name"

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs), **({"tags": tags} if tags else {}))
        return str(inputs["name"])

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        if inputs.get("retentionInDays"):
            self.update(aws, identity, inputs, {"retentionInDays"})

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        if "retentionInDays" in changed and inputs.get("retentionInDays"):
            days = inputs["retentionInDays"]
            self.call(aws, "PutRetentionPolicy", logGroupName=identity, retentionInDays=days)
        elif "retentionInDays" in changed:
            self.call(aws, "DeleteRetentionPolicy", logGroupName=identity)
        if "kmsKeyId" in changed and inputs.get("kmsKeyId"):
            self.call(aws, "AssociateKmsKey", logGroupName=identity, kmsKeyId=inputs["kmsKeyId"])
        elif "kmsKeyId" in changed:
            self.call(aws, "DisassociateKmsKey", logGroupName=identity)

    def read(self, aws: Cloud, identity: str) -> Properties:
        groups = self.call(aws, "DescribeLogGroups", logGroupNamePrefix=identity)["logGroups"]
        found = next((each for each in groups if each["logGroupName"] == identity), None)
        if found is None:
            raise GoneError(identity)
        arn = found["arn"].removesuffix(":*")
        tags = self.call(aws, "ListTagsForResource", resourceArn=arn)["tags"]
        return self.outputs(found) | {"arn": arn, "tags": tags}

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        if gone:
            self.call(aws, "UntagResource", resourceArn=live["arn"], tagKeys=gone)
        self.call(aws, "TagResource", resourceArn=live["arn"], tags=new)

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        if not state.get("skipDestroy"):
            self.call(aws, "DeleteLogGroup", logGroupName=identity)


ADAPTERS = (LogGroup,)
