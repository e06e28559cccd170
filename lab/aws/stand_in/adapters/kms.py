"""Keys and their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.conversion import tag_list, tag_map

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud

_DELETION_DAYS = 30


class Key(Adapter):
    token, service, creates = "aws:kms/key:Key", "kms", "CreateKey"
    names = {
        "customerMasterKeySpec": "KeySpec",
        "enableKeyRotation": None,
        "isEnabled": None,
        "deletionWindowInDays": None,
        "rotationPeriodInDays": None,
    }
    reads = {"isEnabled": "Enabled", "customerMasterKeySpec": "KeySpec"}
    documents = {"policy": "resource"}
    replaces = frozenset({"keyUsage", "customerMasterKeySpec", "multiRegion", "customKeyStoreId"})
    updates = frozenset(
        {
            *("enableKeyRotation", "isEnabled", "description", "policy"),
            *("deletionWindowInDays", "rotationPeriodInDays", "bypassPolicyLockoutSafetyCheck"),
        }
    )

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        listed = tag_list(tags, "TagKey", "TagValue")
        return str(self.call(aws, self.creates, **self.members(inputs), Tags=listed)["KeyMetadata"]["KeyId"])

    def complete(self, aws: Cloud, identity: str, inputs: Properties) -> None:
        self.update(aws, identity, inputs, set(inputs) - {"policy", "description"})

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        if changed & {"enableKeyRotation", "rotationPeriodInDays"}:
            days = inputs.get("rotationPeriodInDays")
            if inputs.get("enableKeyRotation"):
                period = {"RotationPeriodInDays": days} if days else {}
                self.call(aws, "EnableKeyRotation", KeyId=identity, **period)
            else:
                self.call(aws, "DisableKeyRotation", KeyId=identity)
        if "isEnabled" in changed:
            wanted = inputs.get("isEnabled", True)
            self.call(aws, "EnableKey" if wanted else "DisableKey", KeyId=identity)
        if "description" in changed:
            self.call(aws, "UpdateKeyDescription", KeyId=identity, Description=inputs.get("description", ""))
        if "policy" in changed and inputs.get("policy"):
            self.call(aws, "PutKeyPolicy", KeyId=identity, PolicyName="default", Policy=inputs["policy"])

    def read(self, aws: Cloud, identity: str) -> Properties:
        key = self.call(aws, "DescribeKey", KeyId=identity)["KeyMetadata"]
        if key["KeyState"] == "PendingDeletion":
            raise GoneError(identity)
        return self.outputs(key) | {
            "enableKeyRotation": self.call(aws, "GetKeyRotationStatus", KeyId=identity)["KeyRotationEnabled"],
            "policy": self.call(aws, "GetKeyPolicy", KeyId=identity, PolicyName="default")["Policy"],
            "tags": tag_map(self.call(aws, "ListResourceTags", KeyId=identity)["Tags"]),
        }

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        if gone:
            self.call(aws, "UntagResource", KeyId=identity, TagKeys=gone)
        self.call(aws, "TagResource", KeyId=identity, Tags=tag_list(new, "TagKey", "TagValue"))

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        days = state.get("deletionWindowInDays") or _DELETION_DAYS
        self.call(aws, "ScheduleKeyDeletion", KeyId=identity, PendingWindowInDays=days)


class Alias(Adapter):
    token, service, creates = "aws:kms/alias:Alias", "kms", "CreateAlias"
    names = {"name": "AliasName"}
    reads = {"name": "AliasName", "arn": "AliasArn"}
    replaces = frozenset({"name"})
    updates = frozenset({"targetKeyId"})
    autoname = "name"

    def named(self, name: str) -> str:
        return f"alias/{name}"

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs))
        return str(inputs["name"])

    def read(self, aws: Cloud, identity: str) -> Properties:
        for page in self.pages(aws, "ListAliases"):
            for alias in page["Aliases"]:
                if alias["AliasName"] == identity:
                    key = self.call(aws, "DescribeKey", KeyId=alias["TargetKeyId"])["KeyMetadata"]
                    return self.outputs(alias) | {"targetKeyArn": key["Arn"]}
        raise GoneError(identity)

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self.call(aws, "UpdateAlias", AliasName=identity, TargetKeyId=inputs["targetKeyId"])

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, "DeleteAlias", AliasName=identity)


ADAPTERS = (Key, Alias)
