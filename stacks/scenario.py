"""From a stack's name to its resources: settings, the residency rule, the scenario's build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from components.aws.errors import CloudError
from components.kubernetes.errors import ClusterError
from components.premises.errors import PremisesError
from stacks import s1_local_serving, s3_local
from stacks.placement import (
    PlacementError,
    placement_of,
    refuse_destinations,
    refuse_namespaces,
    refuse_resource,
)
from stacks.settings import (
    CloudTrainingSettings,
    LocalSettings,
    ServingSettings,
    SettingsError,
    read_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def _build_cloud_training(settings: CloudTrainingSettings) -> dict[str, Any]:
    # The SDKs of clouds take seconds to import: not for stacks that have none.
    from stacks import s2_cloud_training

    return s2_cloud_training.build(settings)


_BUILDS: dict[str, tuple[type[Any], Callable[[Any], dict[str, Any]]]] = {
    s1_local_serving.STACK: (ServingSettings, s1_local_serving.build),
    "s2-cloud-training": (CloudTrainingSettings, _build_cloud_training),
    s3_local.STACK: (LocalSettings, s3_local.build),
}


def build(stack: str, config: Mapping[str, str], secret_keys: Collection[str]) -> dict[str, Any]:
    """Declare the resources of the scenario that `stack` is named after, and return its outputs.

    Raises:
        pulumi.RunError: what is wrong with the stack's name, settings or placement, without a traceback.

    """
    try:
        placement_of(stack)
        if stack not in _BUILDS:
            message = f"{stack} is not built yet; built are: {', '.join(_BUILDS)}"
            raise PlacementError(message)
        refuse_namespaces(stack, {key.partition(":")[0] for key in config})
        kind, declare = _BUILDS[stack]
        settings = read_settings(kind, stack, config, secret_keys)
        premises = getattr(settings, "premises", None)  # a stack in the cloud has none
        if premises and premises.egress:
            refuse_destinations(stack, premises.egress.destinations())
        pulumi.runtime.register_stack_transformation(lambda args: _refuse(stack, args))
        return declare(settings)
    except (PlacementError, SettingsError, PremisesError, CloudError, ClusterError) as error:
        raise pulumi.RunError(str(error)) from None


def _refuse(stack: str, args: pulumi.ResourceTransformationArgs) -> None:
    refuse_resource(stack, args.type_, args.name)
