"""States as deployments leave them, made from previews: a stand-in for clouds and hosts, which make nothing here.

A preview of a stack that is new says what each resource is to be. That becomes a state, in which what only a deployment
tells (ids, ARNs, certificates) is made up; previewed again, the program knows those, and says the rest.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from policies.rule import UNKNOWN
from previews.events import changes_of

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
_ROUNDS = 8
_NAMED = {"aws:iam/role:Role": "name", "aws:s3/bucket:Bucket": "bucket"}
_SECRETS = ("private_key", "key", "token", "kubeconfig")
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = {_SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "nobody can read this"}


def deployed(preview: Callable[[Mapping[str, Any]], Previewed]) -> dict[str, Any]:
    """Return the state of a stack as if it had been deployed. `preview`: previews it with a state."""
    state: dict[str, Any] = {"resources": []}
    for _ in range(_ROUNDS):
        previewed = preview(state)
        if not changes_of(previewed).changing:
            return state
        state = _state_of(previewed)
    raise AssertionError("the program does not say the same twice")


def _state_of(previewed: Previewed) -> dict[str, Any]:
    goals = previewed.plan["resourcePlans"]
    resources = []
    for event in previewed.events:
        metadata = event.get("resourcePreEvent", {}).get("metadata") or {}
        if metadata.get("op") not in ("create", "update", "replace", "same") or not metadata.get("new"):
            continue
        resources.append(_resource(metadata, goals.get(metadata["urn"], {}).get("goal", {})))
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


def _resource(metadata: Mapping[str, Any], goal: Mapping[str, Any]) -> dict[str, Any]:
    new, urn = copy.deepcopy(metadata["new"]), str(metadata["urn"])
    inputs = {name: _made(value, name) for name, value in (new.get("inputs") or {}).items()}
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
        made["outputs"] = inputs | {key: _made(value, key) for key, value in told.items()}
    return made


def _made(value: Any, name: str) -> Any:
    """A value as a state has it: what was a secret is encrypted, what was unknown is something."""
    if value == "[secret]" or (name in _SECRETS and isinstance(value, str)):
        return dict(_SECRET)
    if isinstance(value, dict):
        return {key: _made(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_made(each, name) for each in value]
    return f"made up for {name}" if value == UNKNOWN else value
