"""What the engine asks a policy pack: which rules there are, and what is wrong with a resource.

The protocol is `pulumi.runtime.proto.analyzer`. Pulumi's own library for packs asks for another major release of
protobuf than its SDK does, and lets what is not known pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc, plugin_pb2
from pulumi.runtime.rpc import is_rpc_secret

from policies.judge import RULES, violations
from policies.rule import Resource
from stacks.scenarios import ScenarioError, scenario_of

if TYPE_CHECKING:
    from policies.rule import Rule, Violation
    from stacks.scenarios import Scenario

NAME, VERSION = "model-deployment-scenarios", "1.0.0"


class Analyzer(analyzer_pb2_grpc.AnalyzerServicer):
    """Judges each resource of a stack before the engine makes it."""

    def __init__(self) -> None:
        self._scenario: Scenario | None = None

    def Handshake(self, request: Any, context: Any) -> Any:
        """Nothing is agreed upon."""
        return analyzer_pb2.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Return the pack's version."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetAnalyzerInfo(self, request: Any, context: Any) -> Any:
        """Return the rules."""
        return analyzer_pb2.AnalyzerInfo(
            name=NAME,
            version=VERSION,
            displayName=NAME,
            policies=[
                analyzer_pb2.PolicyInfo(
                    name=rule.name,
                    displayName=rule.name,
                    description=rule.meaning,
                    enforcementLevel=_level(stops=rule.mandatory),
                )
                for rule in RULES
            ],
        )

    def Configure(self, request: Any, context: Any) -> Any:
        """Rules have no settings."""
        return empty_pb2.Empty()

    def ConfigureStack(self, request: Any, context: Any) -> Any:
        """Take note of the stack's scenario; of another project's stack none is known."""
        try:
            self._scenario = scenario_of(request.stack, request.config.get(f"{request.project}:scenario"))
        except ScenarioError:
            self._scenario = None
        return analyzer_pb2.AnalyzerStackConfigureResponse()

    def Analyze(self, request: Any, context: Any) -> Any:
        """Return what is wrong with a resource."""
        properties = _open(json_format.MessageToDict(request.properties))
        resource = Resource(request.type, request.name, properties, self._scenario)
        found = [_diagnostic(each, request.urn) for each in violations(resource)]
        return analyzer_pb2.AnalyzeResponse(diagnostics=found)

    def AnalyzeStack(self, request: Any, context: Any) -> Any:
        """Each resource was judged by itself."""
        return analyzer_pb2.AnalyzeResponse()

    def Remediate(self, request: Any, context: Any) -> Any:
        """Nothing is changed here."""
        return analyzer_pb2.RemediateResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        """Nothing is under way."""
        return empty_pb2.Empty()


def _diagnostic(violation: Violation, urn: str) -> Any:
    rule: Rule = violation.rule
    return analyzer_pb2.AnalyzeDiagnostic(
        policyName=rule.name,
        policyPackName=NAME,
        policyPackVersion=VERSION,
        description=rule.meaning,
        message=violation.message,
        enforcementLevel=_level(stops=violation.stops),
        urn=urn,
    )


def _level(*, stops: bool) -> Any:
    return analyzer_pb2.MANDATORY if stops else analyzer_pb2.ADVISORY


def _open(value: Any) -> Any:
    """Properties without the marks of secrets: rules judge values, and say none that may be one."""
    if is_rpc_secret(value):
        return _open(value.get("value"))
    if isinstance(value, dict):
        return {key: _open(each) for key, each in value.items()}
    return [_open(each) for each in value] if isinstance(value, list) else value
