"""Where the cluster's images come from: a private repository for each, whose tags never move."""

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
    """What the registry holds.

    Attributes:
        location: account and region.
        repositories: their names, as in `s2/scenario-model`. A cluster without a way out pulls every image
            from here: also those of JobSet, Kueue and the device plugins.
        untagged_days: how long an image is kept that no tag names.

    """

    location: Location
    repositories: Sequence[str]
    untagged_days: int = 14


class ImageRegistry(pulumi.ComponentResource):
    """Repositories that are encrypted by a key of the account's, scanned at each push, and removed with it.

    Raises:
        CloudError: no repository, or a name that ECR would refuse.

    """

    urls: pulumi.Output[dict[str, str]]
    """By a repository's name: what an image is named with, before its tag or digest."""
    arns: pulumi.Output[dict[str, str]]

    def __init__(
        self, name: str, args: ImageRegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the repositories under `name`."""
        for each in args.repositories:
            if not re.fullmatch(_REPOSITORY, each):
                raise CloudError(
                    f"repository {each!r} is no name for ECR; small letters and digits, as in s2/model"
                )
        if not args.repositories:
            raise CloudError("an image registry needs a repository; name one, as in s2/scenario-model")
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
        "description": "images that no tag names",
        "selection": {
            "tagStatus": "untagged",
            "countType": "sinceImagePushed",
            "countUnit": "days",
            "countNumber": days,
        },
        "action": {"type": "expire"},
    }
    return json.dumps({"rules": [rule]})
