"""From the engine's events to the changes of a stack.

The events have whole states. What leaves here is each step's kind, resource, and the paths that differ; values stay
inside, for those who judge, until `shown` lets one out by name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from policies.rule import UNKNOWN
from previews import PreviewError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from previews.sandbox import Previewed

Kind = Literal["create", "update", "replace", "delete", "same"]
_KINDS: Mapping[str, Kind] = {
    "create": "create",
    "update": "update",
    "replace": "replace",
    "delete": "delete",
    "same": "same",
    "import": "create",
}
_STACK = "pulumi:pulumi:Stack"
_NOT_RESOURCES = ("pulumi:providers:", _STACK, "pulumi:pulumi:StackReference")
_SECRET = "[secret]"  # noqa: S105 the engine's word for one
# What a person has to see of a change, and that holds no secret by its meaning.
_SHOWN = re.compile(
    r"(?:^|\.)(?:instanceTypes?|amiType|capacityType|desiredSize|maxSize|minSize|diskSize|volumeSize|volumeType|version|"
    r"cidrBlock|cidrIpv4|publicAccessCidrs|endpointPublicAccess|availabilityZone|serviceName|repositoryUrl|"
    r"replicas|minReplicaCount|maxReplicaCount|image|release|to|port|ports|cidr|ring|rings|store|url|host|site|"
    r"max_steps|epochs|learning_rate|rank|method|sequence_length|tokens_per_step|micro_batch|strategy|seed|"
    r"retrain_key|invite_key|nominalQuota|release_name|release_channel|valid_until|replicaCount|retentionInDays|drift)(?:\[\d+\])?$"
)
_LENGTH, _LONGEST = 80, 48


@dataclass(frozen=True, slots=True)
class Difference:
    """One property. `old`, `new`: None if it was not, or is not, there; UNKNOWN until it is made."""

    path: str
    old: Any
    new: Any

    def shown(self, *, briefly: bool = False) -> str:
        """The difference in words: with its values only if the property may be shown. `briefly`: the path's end."""
        path = f"`{_end(self.path) if briefly else self.path}`"
        if not _SHOWN.search(self.path):
            return path
        return f"{path}: {_word(self.old)} → {_word(self.new)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens to a resource. `old`, `new`: its inputs; empty if there are none."""

    kind: Kind
    urn: str
    type: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    differences: tuple[Difference, ...] = ()

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What the policy pack says of a resource. `stops`: whether an update would stop at it."""

    rule: str
    name: str
    message: str
    stops: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What happens to a stack.

    Attributes:
        stack: its name.
        steps: of all its resources, those that stay included, in the engine's order.
        outputs: of the stack, as far as they are known.
        error: why there is no preview; empty if there is one.
        is_new: whether it was never deployed, as far as is known here.
        uncompared: values that could not be compared: secrets, and files of the machine that deploys.
        violations: what the stack's rules say of it.
        against_base: whether it is compared with what the branch that it is for would deploy.

    """

    stack: str
    steps: tuple[Step, ...]
    outputs: Mapping[str, Any]
    error: str
    is_new: bool
    uncompared: int
    violations: tuple[Violation, ...] = ()
    against_base: bool = False

    def of(self, *kinds: Kind) -> list[Step]:
        """Steps of these kinds."""
        return [step for step in self.steps if step.kind in kinds]

    @property
    def changing(self) -> list[Step]:
        """Steps that change something."""
        return self.of("create", "update", "replace", "delete")


def read_events(log: Path, said: str) -> list[dict[str, Any]]:
    """Read the engine's event log. Raises PreviewError with the end of what it `said`, if it has written none."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    if not lines:
        reason = (said.strip().splitlines() or ["it said nothing"])[-1]
        raise PreviewError(f"the engine did not begin: {reason[:400]}")
    return [json.loads(line) for line in lines]


def changes_of(previewed: Previewed) -> Changes:
    """Read what the engine said."""
    steps: list[Step] = []
    changed: set[str] = set()
    uncompared, outputs = previewed.secrets, dict[str, Any]()
    for metadata in resources_in(previewed.events, "resourcePreEvent"):
        kind = _KINDS.get(metadata["op"])
        if kind is None or str(metadata["type"]).startswith(_NOT_RESOURCES):
            continue
        step = _step(kind, metadata)
        if kind in ("update", "replace"):
            real = [each for each in step.differences if _is_real(each, step.urn, previewed.plan, changed)]
            uncompared += len(step.differences) - len(real)
            # The engine replaces what is marked for it, although nothing differs.
            marked = kind == "replace" and not step.differences
            step = replace(step, kind=step.kind if real or marked else "same", differences=tuple(real))
        if step.kind != "same":
            changed.add(step.urn)
        steps.append(step)
    for metadata in resources_in(previewed.events, "resOutputsEvent"):
        if metadata["type"] == _STACK:
            outputs = dict((metadata.get("new") or {}).get("outputs") or {})
    return Changes(
        stack=previewed.stack,
        steps=tuple(steps),
        outputs=outputs,
        error=error_of(previewed.events),
        is_new=previewed.is_new,
        uncompared=uncompared,
        violations=tuple(_violations(previewed.events)),
    )


def _violations(events: Iterable[Mapping[str, Any]]) -> Iterator[Violation]:
    for event in events:
        if said := event.get("policyEvent"):
            yield Violation(
                rule=str(said["policyName"]),
                name=str(said.get("resourceUrn", "")).rpartition("::")[2],
                message=str(said["message"]).strip(),
                stops=said["enforcementLevel"] == "mandatory",
            )


def resources_in(events: Iterable[Mapping[str, Any]], kind: str) -> Iterator[Mapping[str, Any]]:
    """What events of a kind say of resources."""
    for event in events:
        if kind in event:
            yield event[kind]["metadata"]


def _step(kind: Kind, metadata: Mapping[str, Any]) -> Step:
    old, new = metadata.get("old") or {}, metadata.get("new") or {}
    before, after = dict(old.get("inputs") or {}), dict(new.get("inputs") or {})
    found = differences(metadata, "inputs") if kind in ("update", "replace") else ()
    return Step(
        kind=kind,
        urn=str(metadata["urn"]),
        type=str(metadata["type"]),
        old=before,
        new={} if kind == "delete" else after,
        differences=found,
    )


def differences(metadata: Mapping[str, Any], of: Literal["inputs", "outputs"]) -> tuple[Difference, ...]:
    """Which properties differ, by the provider's word, or else by comparing the inputs or outputs."""
    before, after = (dict((metadata.get(side) or {}).get(of) or {}) for side in ("old", "new"))
    paths = metadata.get("detailedDiff") or metadata.get("diffs") or _different(before, after)
    return tuple(Difference(path, _at(before, path), _at(after, path)) for path in sorted(paths))


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Properties that differ, where a provider does not say which do."""
    names = {name for name in {*before, *after} if not name.startswith("__")}
    return [name for name in names if before.get(name) != after.get(name)]


def _is_real(difference: Difference, urn: str, plan: Mapping[str, Any], changed: set[str]) -> bool:
    """Whether a difference is one: not if only its old or new value is unknown here, with no cause in the change.

    A value can become unknown through a resource that changes, on which it depends; or because it is a secret, or of a
    file that only the machine that deploys has.
    """
    if _has_unknown(difference.old):
        return False
    if not _has_unknown(difference.new):
        return True
    goal = ((plan.get("resourcePlans") or {}).get(urn) or {}).get("goal") or {}
    top = difference.path.partition(".")[0].partition("[")[0]
    return bool(changed & set((goal.get("propertyDependencies") or {}).get(top) or ()))


def _has_unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(_has_unknown, value))
    return value in (UNKNOWN, _SECRET)


def _at(inputs: Any, path: str) -> Any:
    """The value at a path such as `spec.ports[0].port` or `tags["a.b"]`; None if there is none."""
    for key, index, quoted in re.findall(r'([^.\[\]"]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]', path):
        part = int(index) if index else quoted or key
        try:
            inputs = inputs[part]
        except (KeyError, IndexError, TypeError):
            return None
    return inputs


def error_of(events: Iterable[Mapping[str, Any]]) -> str:
    """Why there is no preview: the first error; the engine's own summary of the others comes last."""
    known = list(events)
    if any(event.get("summaryEvent", {}).get("result") == "succeeded" for event in known):
        return ""
    told = [event["diagnosticEvent"] for event in known if "diagnosticEvent" in event]
    said = [str(each["message"]).strip() for each in told if each.get("severity") == "error"]
    # A plugin that is ended while it still starts is no error, whatever the engine says.
    said = [each for each in said if each and not each.startswith("Detected that ")]
    return said[0] if said else "the engine failed, and does not say why"


def _end(path: str) -> str:
    """A path that fits into a table: `…containers[0].image`."""
    start = path.find(".", len(path) - _LONGEST) if len(path) > _LONGEST else -1
    return path if start < 0 else f"…{path[start + 1 :]}"


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if _has_unknown(value):
        return "not known yet"
    text = value if isinstance(value, str) else json.dumps(value)
    # An address may carry a password, or a signature that lets anybody in.
    text = re.sub(r"(\w+://)[^/\s@]*@|\?\S*", r"\1", text) if "://" in text else text
    text = re.sub(r"[\s`|]+", " ", text)
    return f"`{text[:_LENGTH]}{'…' if len(text) > _LENGTH else ''}`"
