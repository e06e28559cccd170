"""EC2's placement groups, missing from moto: kept in memory with its other resources."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2 import urls
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

if TYPE_CHECKING:
    from moto.ec2.models import EC2Backend

_STRATEGIES = ("cluster", "partition", "spread")
_groups: WeakKeyDictionary[EC2Backend, dict[str, dict[str, Any]]] = WeakKeyDictionary()


class PlacementGroups(EC2Response):
    """Each method implements the operation of that name."""

    @property
    def _held(self) -> dict[str, dict[str, Any]]:
        # A reset of moto creates new backends, and data of the old ones goes with them.
        return _groups.setdefault(self.ec2_backend, {})

    def create_placement_group(self) -> ActionResult:
        name, strategy = self._get_param("GroupName"), self._get_param("Strategy", "cluster")
        if name in self._held:
            raise EC2ClientError(
                "InvalidPlacementGroup.Duplicate", f"The placement group '{name}' already exists"
            )
        if strategy not in _STRATEGIES:
            raise EC2ClientError(
                "InvalidParameterValue", f"The strategy '{strategy}' is not one of {_STRATEGIES}"
            )
        number = f"pg-{uuid.uuid4().hex[:17]}"
        place = f"arn:aws:ec2:{self.region}:{self.current_account}"
        self._held[name] = {
            "GroupName": name,
            "GroupId": number,
            "GroupArn": f"{place}:placement-group/{name}",
            "Strategy": strategy,
            "State": "available",
            "PartitionCount": self._get_param("PartitionCount"),
            "SpreadLevel": self._get_param("SpreadLevel"),
        }
        for specification in self._get_param("TagSpecifications", []):
            self.ec2_backend.create_tags(
                [number], {tag["Key"]: tag["Value"] for tag in specification.get("Tags", [])}
            )
        return ActionResult({"PlacementGroup": self._told(name)})

    def _told(self, name: str) -> dict[str, Any]:
        if name not in self._held:
            raise EC2ClientError("InvalidPlacementGroup.Unknown", f"The placement group '{name}' is unknown")
        group = self._held[name]
        tags = self.ec2_backend.describe_tags(filters={"resource-id": [group["GroupId"]]})
        return group | {"Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in tags]}

    def create_tags(self) -> ActionResult:
        return self._taken() or super().create_tags()

    def delete_tags(self) -> ActionResult:
        return self._taken() or super().delete_tags()

    def _taken(self) -> ActionResult | None:
        """Change the tags of a placement group, whose ID moto does not recognise."""
        numbers = self._get_param("Resources", [])
        if not numbers or not set(numbers) <= {group["GroupId"] for group in self._held.values()}:
            return None
        tags = {tag["Key"]: tag.get("Value") for tag in self._get_param("Tags", [])}
        change = (
            self.ec2_backend.create_tags
            if self._get_action() == "CreateTags"
            else self.ec2_backend.delete_tags
        )
        change(numbers, tags)
        return EmptyResult()

    def describe_placement_groups(self) -> ActionResult:
        names = self._get_param("GroupNames") or list(self._held)
        numbers = self._get_param("GroupIds") or []
        found = [self._told(name) for name in names]
        return ActionResult(
            {"PlacementGroups": [each for each in found if not numbers or each["GroupId"] in numbers]}
        )

    def delete_placement_group(self) -> EmptyResult:
        group = self._told(self._get_param("GroupName"))
        self.ec2_backend.delete_tags([group["GroupId"]], {tag["Key"]: None for tag in group["Tags"]})
        del self._held[group["GroupName"]]
        return EmptyResult()


def install() -> None:
    """Register these with moto, before its server starts."""
    urls.url_paths = dict.fromkeys(urls.url_paths, PlacementGroups.dispatch)
