"""The cluster's image registry: a private repository for each image, with immutable tags."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import ecr

from components.aws.policies import customer_key
from components.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from components.aws.location import Location

_REPOSITORY = r"[a-z0-9]+([._/-][a-z0-9]+)*"


@dataclass(frozen=True, kw_only=True)
class ImageRegistryArgs:
    """Inputs of the registry.

    Attributes:
        location: account and region.
        repositories: their names, as in `s2/scenario-model`. A cluster without internet access pulls all images
            from here,
            including those of JobSet, Kueue and the device plugins.
        untagged_days: retention of untagged images.

    """

    location: Location
    repositories: Sequence[str]
    untagged_days: int = 14


class ImageRegistry(pulumi.ComponentResource):
    """Repositories encrypted with the account's own key, scanned at each push, and removed with the resource.

    Raises:
        CloudError: there is no repository, or ECR would refuse a name.

    """

    urls: pulumi.Output[dict[str, str]]
    """By repository name: its URL, to which an image's tag or digest is appended."""
    arns: pulumi.Output[dict[str, str]]

    def __init__(
        self, name: str, args: ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the repositories under `name`."""
        for each in args.repositories:
            if not re.fullmatch(_REPOSITORY, each):
                raise CloudError(
                    f"invalid ECR repository name {each!r}; use lower-case letters and digits, as in s2/model"
                )
        if not args.repositories:
            raise CloudError("an image registry needs a repository; add one, as in s2/scenario-model")
        super().__init__("scenario:aws:ImageRegistry", name, None, opts)
        own = pulumi.ResourceOptions(parent=self)
        key = customer_key(name, args.location, f"images of {name}", opts=own)
        made = {
            each: ecr.Repository(
                f"{name}-{each.replace('/', '-')}",
                name=each,
                image_tag_mutability="IMMUTABLE",
                image_scanning_configuration={"scan_on_push": True},
                encryption_configurations=[{"encryption_type": "KMS", "kms_key": key.arn}],
                # Images can be built and pushed again, unlike releases.
                force_delete=True,
                opts=own,
            )
            for each in args.repositories
        }
        for each, repository in made.items():
            ecr.LifecyclePolicy(
                f"{name}-{each.replace('/', '-')}",
                repository=repository.name,
                policy=_expire_untagged(args.untagged_days),
                opts=own,
            )
        self.urls = pulumi.Output.all(**{each: found.repository_url for each, found in made.items()})
        self.arns = pulumi.Output.all(**{each: found.arn for each, found in made.items()})
        self.register_outputs({"urls": self.urls, "arns": self.arns})


def _expire_untagged(days: int) -> str:
    rule = {
        "rulePriority": 1,
        "description": "untagged images",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": days,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]})
