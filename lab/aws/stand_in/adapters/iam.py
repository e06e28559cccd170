"""Roles and their policies. Policies are not enforced: moto does not evaluate them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lab.aws.stand_in import GoneError
from lab.aws.stand_in.adapter import Adapter
from lab.aws.stand_in.conversion import tag_list, tag_map

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Properties
    from lab.aws.stand_in.cloud import Cloud


class Role(Adapter):
    token, service, creates = "aws:iam/role:Role", "iam", "CreateRole"
    names = {
        "name": "RoleName",
        "assumeRolePolicy": "AssumeRolePolicyDocument",
        "forceDetachPolicies": None,
    }
    reads = {"name": "RoleName", "uniqueId": "RoleId", "permissionsBoundary": None}
    documents = {"assumeRolePolicy": "trust"}
    replaces = frozenset({"name", "path"})
    updates = frozenset(
        {
            *("assumeRolePolicy", "description", "maxSessionDuration"),
            *("permissionsBoundary", "forceDetachPolicies"),
        }
    )
    autoname = "name"

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        return str(
            self.call(aws, self.creates, **self.members(inputs), Tags=tag_list(tags))["Role"]["RoleName"]
        )

    def read(self, aws: Cloud, identity: str) -> Properties:
        role = self.call(aws, "GetRole", RoleName=identity)["Role"]
        boundary = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return self.outputs(role) | {
            "assumeRolePolicy": json.dumps(role["AssumeRolePolicyDocument"]),
            "permissionsBoundary": boundary,
            "tags": tag_map(self.call(aws, "ListRoleTags", RoleName=identity)["Tags"]),
        }

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        if "assumeRolePolicy" in changed:
            self.call(
                aws, "UpdateAssumeRolePolicy", RoleName=identity, PolicyDocument=inputs["assumeRolePolicy"]
            )
        if changed & {"description", "maxSessionDuration"}:
            members = self.members({name: inputs.get(name) for name in ("description", "maxSessionDuration")})
            self.call(aws, "UpdateRole", RoleName=identity, **({"Description": ""} | members))
        if "permissionsBoundary" in changed and inputs.get("permissionsBoundary"):
            boundary = inputs["permissionsBoundary"]
            self.call(aws, "PutRolePermissionsBoundary", RoleName=identity, PermissionsBoundary=boundary)
        elif "permissionsBoundary" in changed:
            self.call(aws, "DeleteRolePermissionsBoundary", RoleName=identity)

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        if gone:
            self.call(aws, "UntagRole", RoleName=identity, TagKeys=gone)
        self.call(aws, "TagRole", RoleName=identity, Tags=tag_list(new))

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        if state.get("forceDetachPolicies"):
            for each in self.call(aws, "ListAttachedRolePolicies", RoleName=identity)["AttachedPolicies"]:
                self.call(aws, "DetachRolePolicy", RoleName=identity, PolicyArn=each["PolicyArn"])
        self.call(aws, "DeleteRole", RoleName=identity)


class Policy(Adapter):
    token, service, creates = "aws:iam/policy:Policy", "iam", "CreatePolicy"
    names = {
        "name": "PolicyName",
        "policy": "PolicyDocument",
        "delayAfterPolicyCreationInMs": None,
    }
    reads = {"name": "PolicyName", "policy": None}
    documents = {"policy": "identity"}
    replaces = frozenset({"name", "path", "description"})
    updates = frozenset({"policy"})
    autoname = "name"

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        return str(self.call(aws, self.creates, **self.members(inputs), Tags=tag_list(tags))["Policy"]["Arn"])

    def read(self, aws: Cloud, identity: str) -> Properties:
        policy = self.call(aws, "GetPolicy", PolicyArn=identity)["Policy"]
        version = self.call(
            aws, "GetPolicyVersion", PolicyArn=identity, VersionId=policy["DefaultVersionId"]
        )["PolicyVersion"]
        return {"tags": {}, **self.outputs(policy), "policy": json.dumps(version["Document"])}

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        """Make a version the default and delete the previous one: AWS allows at most five."""
        before = self.call(aws, "GetPolicy", PolicyArn=identity)["Policy"]["DefaultVersionId"]
        document = inputs["policy"]
        self.call(aws, "CreatePolicyVersion", PolicyArn=identity, PolicyDocument=document, SetAsDefault=True)
        self.call(aws, "DeletePolicyVersion", PolicyArn=identity, VersionId=before)

    def retag(
        self, aws: Cloud, identity: str, live: Properties, new: dict[str, str], gone: list[str]
    ) -> None:
        if gone:
            self.call(aws, "UntagPolicy", PolicyArn=identity, TagKeys=gone)
        self.call(aws, "TagPolicy", PolicyArn=identity, Tags=tag_list(new))

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        self.call(aws, "DeletePolicy", PolicyArn=identity)


class RolePolicy(Adapter):
    token, service, creates = "aws:iam/rolePolicy:RolePolicy", "iam", "PutRolePolicy"
    names = {"name": "PolicyName", "policy": "PolicyDocument", "role": "RoleName"}
    documents = {"policy": "identity"}
    replaces = frozenset({"name", "role"})
    updates = frozenset({"policy"})
    autoname = "name"

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs))
        return f"{inputs['role']}:{inputs['name']}"

    def update(self, aws: Cloud, identity: str, inputs: Properties, changed: set[str]) -> None:
        self.call(aws, self.creates, **self.members(inputs))

    def read(self, aws: Cloud, identity: str) -> Properties:
        role, _, name = identity.partition(":")
        found = self.call(aws, "GetRolePolicy", RoleName=role, PolicyName=name)
        return {"role": role, "name": name, "policy": json.dumps(found["PolicyDocument"])}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        role, _, name = identity.partition(":")
        self.call(aws, "DeleteRolePolicy", RoleName=role, PolicyName=name)


class RolePolicyAttachment(Adapter):
    token = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    service, creates = "iam", "AttachRolePolicy"
    names = {"role": "RoleName"}
    replaces = frozenset({"role", "policyArn"})
    collides = replaces

    def create(self, aws: Cloud, inputs: Properties, tags: dict[str, str]) -> str:
        self.call(aws, self.creates, **self.members(inputs))
        return f"{inputs['role']}/{inputs['policyArn']}"

    def read(self, aws: Cloud, identity: str) -> Properties:
        role, _, policy = identity.partition("/")
        held = self.call(aws, "ListAttachedRolePolicies", RoleName=role)["AttachedPolicies"]
        if policy not in {each["PolicyArn"] for each in held}:
            raise GoneError(identity)
        return {"role": role, "policyArn": policy}

    def delete(self, aws: Cloud, identity: str, state: Properties) -> None:
        role, _, policy = identity.partition("/")
        self.call(aws, "DetachRolePolicy", RoleName=role, PolicyArn=policy)


ADAPTERS = (Role, Policy, RolePolicy, RolePolicyAttachment)
