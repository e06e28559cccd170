"""The provider protocol: answers the engine's requests through the adapters."""

from __future__ import annotations

import contextlib
import re
import secrets
from typing import TYPE_CHECKING, Any

from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from lab.aws.stand_in import GoneError, RefusedError, sdk
from lab.aws.stand_in.checks import faults_of
from lab.aws.stand_in.cloud import Cloud, setting_faults, settings
from lab.aws.stand_in.differences import covers, differences, drifted, top
from lab.aws.stand_in.errors import told
from lab.aws.stand_in.registry import registry
from lab.aws.stand_in.values import DEFAULTS, UNKNOWN, defaults, has_unknown, plain, secret_names, struct

if TYPE_CHECKING:
    from lab.aws.stand_in.adapter import Adapter
    from lab.aws.stand_in.engine_log import EngineLog

Properties = dict[str, Any]
_KINDS = {"add": "ADD", "delete": "DELETE", "update": "UPDATE"}


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """The stand-in for `pulumi-resource-aws`."""

    def __init__(self, version: str, voice: EngineLog) -> None:
        self._version, self._voice = version, voice
        self._adapters = registry()
        self._cloud: Cloud | None = None
        self._secret_defaults = False

    @property
    def _aws(self) -> Cloud:
        if self._cloud is None:
            raise RefusedError("the provider's settings are not known before the update")
        return self._cloud

    def Handshake(self, request: Any, context: Any) -> Any:
        """Return the supported protocol features."""
        if request.engine_address:
            self._voice.listen_at(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Return the version of the SDK, which defines the types."""
        return plugin_pb2.PluginInfo(version=self._version)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Check the provider's own settings."""
        failures = [
            provider_pb2.CheckFailure(property=path, reason=reason)
            for path, reason in setting_faults(plain(request.news))
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """No provider setting requires replacement."""
        changed = plain(request.olds) != plain(request.news)
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind)

    def Configure(self, request: Any, context: Any) -> Any:
        """Accept the settings, and announce the stand-in."""
        given = plain(request.args)
        if not has_unknown(given):
            self._cloud = Cloud(settings(given))
        self._secret_defaults = "defaultTags" in secret_names(request.args)
        self._voice.introduce()
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @told
    def Invoke(self, request: Any, context: Any) -> Any:
        """Support only the caller's identity: everything else is configuration here."""
        if request.tok == "aws:index/getCallerIdentity:getCallerIdentity":
            who = self._aws.client("sts").get_caller_identity()
            found = {
                "accountId": who["Account"],
                "arn": who["Arn"],
                "userId": who["UserId"],
                "id": who["Account"],
            }
            return provider_pb2.InvokeResponse(**{"return": struct(found)})
        raise RefusedError(
            f"the stand-in for the AWS provider plugin does not support the function {request.tok}"
        )

    @told
    def Check(self, request: Any, context: Any) -> Any:
        """Check every property, and generate missing names."""
        token = request.type or request.urn.split("::")[2].rpartition("$")[2]
        inputs = plain(request.news)
        adapter = self._adapters.get(token)
        if adapter is None:
            reason = f"the stand-in for the AWS provider plugin does not support the resource type {token}"
            return provider_pb2.CheckResponse(failures=[provider_pb2.CheckFailure(reason=reason)])
        made_up = self._name(adapter, request, inputs)
        failures = [
            provider_pb2.CheckFailure(property=path, reason=f"`{path}`: {reason}")
            for path, reason in faults_of(adapter, inputs)
        ]
        checked = struct(inputs | {DEFAULTS: made_up}, secret_names(request.news))
        return provider_pb2.CheckResponse(inputs=checked, failures=failures)

    def _name(self, adapter: Adapter, request: Any, inputs: Properties) -> list[str]:
        """Keep the resource's previous name, or generate one; return the generated properties."""
        name = adapter.autoname
        if not name or inputs.get(name):
            return []
        stem = request.name or request.urn.rpartition("::")[2]
        stem = re.sub(r"[^a-z0-9.-]", "-", stem.lower()) if adapter.lower else stem
        before = plain(request.olds).get(name)
        inputs[name] = before or adapter.named(f"{stem}-{secrets.token_hex(4)[:7]}")
        return [name]

    @told
    def Diff(self, request: Any, context: Any) -> Any:
        """Return the differences, and whether they require replacement."""
        adapter = self._adapter(request)
        old, new = plain(request.old_inputs), plain(request.news)
        found = dict(differences(old, new))
        if "tags" not in {top(path) for path in found} and self._tags_differ(
            adapter, plain(request.olds), new
        ):
            found["tagsAll"] = "update"
        replaced = sorted(path for path in found if covers(adapter.replaces, path))
        for path in found:
            known = path in replaced or top(path) in {"tags", "tagsAll"} or covers(adapter.updates, path)
            if not known:
                raise RefusedError(
                    f"{adapter.token}: the stand-in cannot change `{path}` of an existing resource"
                )
        alone = adapter.collides or ({adapter.autoname} - {"", *defaults(request.news)})
        collides = bool(alone) and all(old.get(name) == new.get(name) for name in alone)
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if found else response.DIFF_NONE,
            diffs=sorted({top(path) for path in found}),
            replaces=replaced,
            deleteBeforeReplace=bool(replaced) and collides,
            hasDetailedDiff=True,
            detailedDiff={
                path: provider_pb2.PropertyDiff(
                    kind=getattr(
                        provider_pb2.PropertyDiff, _KINDS[kind] + ("_REPLACE" if path in replaced else "")
                    ),
                    inputDiff=path != "tagsAll",
                )
                for path, kind in found.items()
            },
        )

    def _tags_differ(self, adapter: Adapter, state: Properties, new: Properties) -> bool:
        if not adapter.tagged or self._cloud is None:
            return False
        return bool((state.get("tagsAll") or {}) != self._tags(new))

    def _tags(self, inputs: Properties) -> Any:
        """Return a resource's tags, including the provider's default tags; unknown if any is unknown."""
        own = inputs.get("tags") or {}
        return UNKNOWN if own == UNKNOWN else {**self._aws.default_tags, **own}

    @told
    def Create(self, request: Any, context: Any) -> Any:
        """Create it, or in a preview return the properties that will be known."""
        adapter, inputs = self._adapter(request), plain(request.properties)
        hidden = self._hidden(request.properties)
        if request.preview:
            later = dict.fromkeys(sdk.members(sdk.resource_type(adapter.token).state), UNKNOWN)
            later |= {"tagsAll": self._tags(inputs)} if adapter.tagged and self._cloud else {}
            return provider_pb2.CreateResponse(properties=struct(later | inputs, hidden))
        identity = adapter.create(self._at(inputs), inputs, self._tags(inputs) if adapter.tagged else {})
        try:
            adapter.complete(self._at(inputs), identity, inputs)
            outputs = self._outputs(adapter, identity, inputs)
        except Exception:
            # Delete it here, as the engine does not know it yet; report the first error.
            with contextlib.suppress(Exception):
                adapter.delete(self._at(inputs), identity, inputs)
            raise
        return provider_pb2.CreateResponse(id=identity, properties=struct(outputs, hidden))

    @told
    def Read(self, request: Any, context: Any) -> Any:
        """Return its live state; nothing if it is gone."""
        adapter, written = self._adapter(request), plain(request.inputs)
        state = plain(request.properties)
        try:
            aws = self._at(written or state)
            # As in the real plugin: without properties, the ID is that of `pulumi import`.
            identity = request.id if state else adapter.imported(aws, request.id)
            live = adapter.read(aws, identity)
        except GoneError:
            return provider_pb2.ReadResponse()
        outputs = self._with_tags(adapter, live)
        known = written or {
            name: outputs[name]
            for name in sdk.members(sdk.resource_type(adapter.token).arguments)
            if name in outputs
        }
        inputs = {name: drifted(name, value, outputs) for name, value in known.items()}
        if adapter.tagged and outputs["tags"] and "tags" not in inputs:
            inputs["tags"] = outputs["tags"]
        hidden = self._hidden(request.inputs, request.properties)
        return provider_pb2.ReadResponse(
            id=identity,
            properties=struct({**state, **adapter.combined(outputs, inputs)}, hidden),
            inputs=struct(inputs | {DEFAULTS: defaults(request.inputs)}, hidden & set(inputs)),
        )

    @told
    def Update(self, request: Any, context: Any) -> Any:
        """Apply the differences, or in a preview return the result."""
        adapter, new, state = self._adapter(request), plain(request.news), plain(request.olds)
        hidden = self._hidden(request.news)
        if request.preview:
            later = adapter.combined(state, new) | ({"tagsAll": self._tags(new)} if adapter.tagged else {})
            return provider_pb2.UpdateResponse(properties=struct(later, hidden))
        aws = self._at(new)
        changed = {top(path) for path, _ in differences(plain(request.old_inputs), new)} - {"tags"}
        if changed:
            adapter.update(aws, request.id, new, changed)
        if adapter.tagged:
            live, wanted = adapter.read(aws, request.id), self._tags(new)
            if live.get("tags", {}) != wanted:
                adapter.retag(aws, request.id, live, wanted, sorted(set(live.get("tags", {})) - set(wanted)))
        outputs = self._outputs(adapter, request.id, new)
        return provider_pb2.UpdateResponse(properties=struct(outputs, hidden))

    @told
    def Delete(self, request: Any, context: Any) -> Any:
        """Delete it; succeeds if it is already gone."""
        state = plain(request.properties)
        with contextlib.suppress(GoneError):
            self._adapter(request).delete(self._at(state), request.id, state)
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:
        """Nothing long-running to cancel."""
        return empty_pb2.Empty()

    def _adapter(self, request: Any) -> Adapter:
        token = request.type or request.urn.split("::")[2].rpartition("$")[2]
        if token not in self._adapters:
            raise RefusedError(
                f"the stand-in for the AWS provider plugin does not support the resource type {token}"
            )
        return self._adapters[token]

    def _at(self, inputs: Properties) -> Cloud:
        return self._aws.in_region(inputs.get("region") or "")

    def _outputs(self, adapter: Adapter, identity: str, inputs: Properties) -> Properties:
        live = self._with_tags(adapter, adapter.read(self._at(inputs), identity))
        return adapter.combined(live, {name: value for name, value in inputs.items() if value is not None})

    def _with_tags(self, adapter: Adapter, live: Properties) -> Properties:
        """Split the live tags into the resource's own and all, including the provider's default tags."""
        if not adapter.tagged:
            return live
        everything = live.get("tags") or {}
        given = self._aws.default_tags
        own = {key: value for key, value in everything.items() if given.get(key) != value}
        return live | {"tags": own, "tagsAll": everything, "region": live.get("region", self._aws.region)}

    def _hidden(self, *messages: Any) -> set[str]:
        return secret_names(*messages) | ({"tagsAll"} if self._secret_defaults else set())
