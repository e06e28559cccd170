"""States as deployments would leave them, made up from previews where none is known.

A preview of a stack that is new says what each resource is to be. That becomes a state, in which what only a deployment
tells (ids, ARNs, certificates) is made up. Previewed again with it, the program knows those, and says more.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from policies.rule import UNKNOWN
from previews import PreviewError
from previews.events import error_of
from previews.sealed import SEALED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from previews.sandbox import Previewed

RELEASE = f"assistant@sha256:{'0' * 64}"
_TOLD: dict[str, dict[str, Any]] = {
    "Cluster": {
        "endpoint": "https://cluster.example",
        "certificateAuthority": {"data": "Q0E="},
        "identities": [{"oidcs": [{"issuer": "https://issuer.example"}]}],
    },
    "NodeGroup": {"resources": [{"autoscalingGroups": [{"name": "eks-group"}]}]},
    "LaunchTemplate": {"latestVersion": 1},
    "VpcEndpoint": {"cidrBlocks": ["203.0.113.0/24"]},
    "LoadBalancer": {"dnsName": "serving.example", "zoneId": "Z1"},
    "StackId": {"identity": "0123456789abcdef"},
    "ApiKey": {"key": "KEY", "sha256": "f" * 64},
    "SigningKey": {"private_key": "PRIVATE", "public_key": "PUBLIC"},
    "CertificateAuthority": {"certificate": "CA", "private_key": "PRIVATE"},
    "ServerCertificate": {"certificate": "CERTIFICATE", "private_key": "PRIVATE"},
    "Publication": {"published": RELEASE},
    "Invitation": {"token": "TOKEN"},
    "TrainingOutcome": {"release": RELEASE, "evaluation": {}, "status": "done"},
    "Playbook": {"results": {}, "changes": 0},
}
_NAMED = {"aws:iam/role:Role": "name", "aws:s3/bucket:Bucket": "bucket"}
_SECRETS = ("private_key", "key", "token", "kubeconfig")


def made_up(preview: Callable[[Mapping[str, Any]], Previewed], rounds: int) -> dict[str, Any]:
    """Return the state that a stack would have, after so many previews; what stays unknown is unknown in it.

    After two, of ten changes each was shown with the same dangers as after four, and one update of 26 was missing.
    `preview`: previews it with a state. Raises PreviewError if it cannot be previewed.
    """
    state: dict[str, Any] = {"resources": []}
    for _ in range(rounds):
        previewed = preview(state)
        if error := error_of(previewed.events):
            raise PreviewError(error)
        state = state_of(previewed, lambda _: dict(SEALED))
    return state


def state_of(previewed: Previewed, unknown: Callable[[str], Any]) -> dict[str, Any]:
    """Return a state of what the preview says. `unknown`: what stands for a property that it does not know."""
    goals = previewed.plan["resourcePlans"]
    resources = []
    for event in previewed.events:
        metadata = event.get("resourcePreEvent", {}).get("metadata") or {}
        if metadata.get("op") not in ("create", "update", "replace", "same") or not metadata.get("new"):
            continue
        resources.append(_resource(metadata, goals.get(metadata["urn"], {}).get("goal", {}), unknown))
    ids = {each["urn"]: each["id"] for each in resources if "id" in each}
    there = {each["urn"] for each in resources}
    for each in resources:
        # What was only read, another stack's outputs, is in no state.
        if "dependencies" in each:
            each["dependencies"] = [urn for urn in each["dependencies"] if urn in there]
        for name, urns in each.get("propertyDependencies", {}).items():
            each["propertyDependencies"][name] = [urn for urn in urns if urn in there]
        if provider := each.get("provider"):
            urn = provider.rpartition("::")[0]
            each["provider"] = f"{urn}::{ids[urn]}"
    return {"manifest": {}, "resources": resources}


def _resource(
    metadata: Mapping[str, Any], goal: Mapping[str, Any], unknown: Callable[[str], Any]
) -> dict[str, Any]:
    new, urn = copy.deepcopy(metadata["new"]), str(metadata["urn"])
    inputs = {name: _made(value, name, unknown) for name, value in (new.get("inputs") or {}).items()}
    made: dict[str, Any] = {"urn": urn, "type": new["type"], "custom": bool(new.get("custom"))}
    made |= {name: new[name] for name in ("parent", "provider") if new.get(name)}
    made |= {name: goal[name] for name in ("dependencies", "propertyDependencies") if goal.get(name)}
    if made["custom"]:
        name = urn.rpartition("::")[2]
        made["id"] = f"{name}-id"
        told = {"arn": f"arn:aws:made:up:{name}", **_TOLD.get(new["type"].rpartition(":")[2], {})}
        if isinstance(inputs.get("vpcConfig"), dict):
            told["vpcConfig"] = inputs["vpcConfig"] | {"clusterSecurityGroupId": "sg-cluster"}
        if (named := _NAMED.get(new["type"])) and named not in inputs:
            # As AWS's provider does: it makes a name up, and writes down that it did.
            inputs |= {named: f"{name}-1a2b3c4", "__defaults": [named]}
        made["inputs"] = inputs
        made["outputs"] = inputs | {key: _made(value, key, unknown) for key, value in told.items()}
    return made


def _made(value: Any, name: str, unknown: Callable[[str], Any]) -> Any:
    """A value as a state has it: a secret is encrypted; nobody reads this one."""
    if value == "[secret]" or (name in _SECRETS and isinstance(value, str)):
        return dict(SEALED)
    if isinstance(value, dict):
        return {key: _made(each, key, unknown) for key, each in value.items()}
    if isinstance(value, list):
        return [_made(each, name, unknown) for each in value]
    return unknown(name) if value == UNKNOWN else value
