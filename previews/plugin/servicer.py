"""What the engine asks a provider in a preview, answered from the program and the last state alone."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from previews.plugin.replacing import replaces
from previews.plugin.values import differences, plain, struct, written


class Previewer(provider_pb2_grpc.ResourceProviderServicer):
    """A provider that asks nobody: no cloud, no cluster, no registry of charts."""

    def __init__(self, version: str) -> None:
        self._version = version

    def Handshake(self, request: Any, context: Any) -> Any:
        """Return the supported features of the protocol."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Return the version that the program's SDK asks for."""
        return plugin_pb2.PluginInfo(version=self._version)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Take any settings, and leave them: without one that is unknown the engine lets this provider compare."""
        return provider_pb2.CheckResponse(inputs=struct({}))

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """A provider's own settings replace nothing here."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        """Be ready."""
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Check(self, request: Any, context: Any) -> Any:
        """Take the inputs as the program wrote them."""
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        """Compare the last inputs with those of the program."""
        token = request.type or request.urn.split("::")[2].rpartition("$")[2]
        old, new = written(plain(request.old_inputs)), written(plain(request.news))
        found = dict(differences(old, new))
        fixed = bool(old.get("immutable"))
        replacing = sorted(path for path in found if replaces(token, path, immutable=fixed))
        answer, change = provider_pb2.DiffResponse, provider_pb2.PropertyDiff
        return answer(
            changes=answer.DIFF_SOME if found else answer.DIFF_NONE,
            diffs=sorted({path.partition(".")[0].partition("[")[0] for path in found}),
            replaces=replacing,
            hasDetailedDiff=True,
            detailedDiff={
                path: change(
                    kind=getattr(change, kind + ("_REPLACE" if path in replacing else "")), inputDiff=True
                )
                for path, kind in found.items()
            },
        )

    def Create(self, request: Any, context: Any) -> Any:
        """Return what is known before it exists: its inputs."""
        self._only_in_previews(request, context)
        return provider_pb2.CreateResponse(properties=request.properties)

    def Update(self, request: Any, context: Any) -> Any:
        """Return what it is, with what is new."""
        self._only_in_previews(request, context)
        return provider_pb2.UpdateResponse(properties=struct(plain(request.olds) | plain(request.news)))

    def Invoke(self, request: Any, context: Any) -> Any:
        """Refuse: a preview asks nobody."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED, f"a preview asks nobody, so it cannot call {request.tok}"
        )

    def Cancel(self, request: Any, context: Any) -> Any:
        """Nothing is under way."""
        return empty_pb2.Empty()

    @staticmethod
    def _only_in_previews(request: Any, context: Any) -> None:
        if not request.preview:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "this provider makes nothing: it is for previews alone"
            )
