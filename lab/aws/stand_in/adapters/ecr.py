"""Image repositories and their policies. They contain no images: moto has no registry behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.conversion import tag_list, tag_map

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class Repository(Adapter):
    token, service, creates = "aws:ecr/repository:Repository", "ecr", "CreateRepository"
    names = {"name": "repositoryName", "forceDelete": None}
    reads = {
        "name": "repositoryName",
        "arn": "repositoryArn",
        "repositoryUrl": "repositoryUri",
        "encryptionConfigurations": "encryptionConfiguration",
    }
    replaces = frozenset({"name", "encryptionConfigurations"})
    updates = frozenset({"imageTagMutability", "imageScanningConfiguration", "forceDelete"})
    autoname, lower = "name", True

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        made = self.call(aws, self.creates, **self.members(inputs), tags=tag_list(tags))["repository"]
        return str(made["repositoryName"])

    def read(self, aws: Cloud, identity: str) -> Properties:
        found = self.call(aws, "DescribeRepositories", repositoryNames=[identity])["repositories"][0]
        tags = self.call(aws, "ListTagsForResource", resourceArn=found["repositoryArn"])["tags"]
        return self.outputs(found) | {"tags": tag_map(tags)}

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        if "imageTagMutability" in changed:
            wanted = inputs.get("imageTagMutability") or "MUTABLE"
            self.call(aws, "PutImageTagMutability", repositoryName=identity, imageTagMutability=wanted)
        if "imageScanningConfiguration" in changed:
            scan = inputs.get("imageScanningConfiguration") or {"scanOnPush": False}
            self.call(
                aws, "PutImageScanningConfiguration", repositoryName=identity, imageScanningConfiguration=scan
            )

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        if gone:
            self.call(aws, "UntagResource", resourceArn=live["arn"], tagKeys=gone)
        self.call(aws, "TagResource", resourceArn=live["arn"], tags=tag_list(new))

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, "DeleteRepository", repositoryName=identity, force=bool(state.get("forceDelete")))


class _OfRepository(Adapter):
    """A document of which a repository has at most one."""

    service = "ecr"
    reading: ClassVar[str]
    text: ClassVar[str]
    deletes: ClassVar[str]
    replaces = frozenset({"repository"})
    updates = frozenset({"policy"})
    collides = replaces

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs))
        return str(inputs["repository"])

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self.call(aws, self.creates, **self.members(inputs))

    def read(self, aws: Cloud, identity: str) -> Properties:
        found = self.call(aws, self.reading, repositoryName=identity)
        return {"repository": identity, "policy": found[self.text], "registryId": found["registryId"]}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, self.deletes, repositoryName=identity)


class LifecyclePolicy(_OfRepository):
    token, creates = "aws:ecr/lifecyclePolicy:LifecyclePolicy", "PutLifecyclePolicy"
    names = {"repository": "repositoryName", "policy": "lifecyclePolicyText"}
    documents = {"policy": "lifecycle"}
    reading, text, deletes = "GetLifecyclePolicy", "lifecyclePolicyText", "DeleteLifecyclePolicy"


class RepositoryPolicy(_OfRepository):
    token, creates = "aws:ecr/repositoryPolicy:RepositoryPolicy", "SetRepositoryPolicy"
    names = {"repository": "repositoryName", "policy": "policyText"}
    documents = {"policy": "resource"}
    reading, text, deletes = "GetRepositoryPolicy", "policyText", "DeleteRepositoryPolicy"


ADAPTERS = (Repository, LifecyclePolicy, RepositoryPolicy)
