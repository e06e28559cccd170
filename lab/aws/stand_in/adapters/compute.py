"""Launch templates and placement groups of GPU nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.session import get_session

from lab.aws.stand_in import conversion, sdk
from lab.aws.stand_in.adapters.ec2 import Ec2

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud

_OF_THE_TEMPLATE = ("name", "description", "tags", "region", "updateDefaultVersion", "defaultVersion")
"""Properties that are not data of a template version."""


class LaunchTemplate(Ec2):
    token, creates, kind = "aws:ec2/launchTemplate:LaunchTemplate", "CreateLaunchTemplate", "launch-template"
    holds, identity, deletes = "LaunchTemplate", "LaunchTemplateId", "DeleteLaunchTemplate"
    describes = ("DescribeLaunchTemplates", "LaunchTemplateIds", "LaunchTemplates")
    names = {
        "vpcSecurityGroupIds": "SecurityGroupIds",
        "securityGroupNames": "SecurityGroups",
        "blockDeviceMappings.ebs": "Ebs",
        "networkInterfaces.securityGroups": "Groups",
        "networkInterfaces.ipv4Addresses": None,
    }
    reads = {"name": "LaunchTemplateName", "latestVersion": "LatestVersionNumber"}
    replaces = frozenset({"name"})
    updates = frozenset(
        {
            *("blockDeviceMappings", "capacityReservationSpecification", "cpuOptions", "description"),
            *("disableApiTermination", "ebsOptimized", "iamInstanceProfile", "imageId", "instanceType"),
            *("instanceMarketOptions", "keyName", "metadataOptions", "monitoring", "networkInterfaces"),
            *("placement", "tagSpecifications", "userData", "vpcSecurityGroupIds", "updateDefaultVersion"),
            *("privateDnsNameOptions", "securityGroupNames", "enclaveOptions", "maintenanceOptions"),
        }
    )
    autoname = "name"

    def request(self, inputs: Properties) -> tuple[Properties, list[sdk.Fault]]:
        """The properties are those of the template's data, a shape inside the request."""
        operation = get_session().get_service_model(self.service).operation_model(self.creates)
        making = conversion.Request(self.names)
        data = {name: value for name, value in inputs.items() if name not in _OF_THE_TEMPLATE}
        made = making.structure(operation.input_shape.members["LaunchTemplateData"], data)
        members = {"LaunchTemplateName": inputs.get("name"), "LaunchTemplateData": made}
        return members | self._words(inputs), making.faults

    def _words(self, inputs: Properties) -> Properties:
        return {"VersionDescription": inputs["description"]} if inputs.get("description") else {}

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        """Create a new version, as AWS does: versions are immutable."""
        members = self.members(inputs)
        del members["LaunchTemplateName"]
        made = self.call(aws, "CreateLaunchTemplateVersion", LaunchTemplateId=identity, **members)
        if inputs.get("updateDefaultVersion"):
            number = str(made["LaunchTemplateVersion"]["VersionNumber"])
            self.call(aws, "ModifyLaunchTemplate", LaunchTemplateId=identity, DefaultVersion=number)

    def derived(self, aws: Cloud, identity: str, item: Properties) -> Properties:
        """Return the data of the latest version too."""
        latest = self.call(
            aws, "DescribeLaunchTemplateVersions", LaunchTemplateId=identity, Versions=["$Latest"]
        )["LaunchTemplateVersions"][0]
        names = {name: member for name, member in self.names.items() if member}
        state = sdk.resource_type(self.token).state
        found = conversion.properties(state, latest["LaunchTemplateData"], names | {"tags": None})
        # moto adds the template's own tags to those of the instances.
        given = [
            each for each in found.get("tagSpecifications", []) if each["resourceType"] != "launch-template"
        ]
        found |= {"tagSpecifications": given} if given else {}
        return found | {
            "latestVersion": item["LatestVersionNumber"],
            "defaultVersion": item["DefaultVersionNumber"],
        }


class PlacementGroup(Ec2):
    token, creates, kind = "aws:ec2/placementGroup:PlacementGroup", "CreatePlacementGroup", "placement-group"
    holds, identity, deletes = "PlacementGroup", "GroupName", "DeletePlacementGroup"
    describes = ("DescribePlacementGroups", "GroupNames", "PlacementGroups")
    names = {"name": "GroupName"}
    reads = {"name": "GroupName", "placementGroupId": "GroupId", "arn": "GroupArn"}
    replaces = frozenset({"name", "strategy", "partitionCount", "spreadLevel"})
    autoname = "name"

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        super().retag(aws, live["placementGroupId"], live, new, gone)


ADAPTERS = (LaunchTemplate, PlacementGroup)
