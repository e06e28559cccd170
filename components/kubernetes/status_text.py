"""Describes a job's state for people, from cluster objects and training logs; pure, for the watch and its tests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

Object = dict[str, Any]

_RESULTS = frozenset({"released", "refused"})
_MEANT = {
    1: "decided",
    2: "invalid configuration",
    75: "retryable",
    137: "killed",
    143: "terminated",
}
_WAITING_IS_NORMAL = frozenset({"", "ContainerCreating", "PodInitializing"})


def condition(thing: Object | None, kind: str) -> Object:
    """Return a condition of an object's status by its type; empty if it has none."""
    listed = ((thing or {}).get("status") or {}).get("conditions") or []
    return next((each for each in listed if each.get("type") == kind), {})


def holds(thing: Object | None, kind: str) -> bool:
    """Whether a condition is true."""
    return bool(condition(thing, kind).get("status") == "True")


def why_queued(workload: Object | None) -> str:
    """Return why a job does not start yet, as reported by its queue; empty once it is admitted."""
    if workload is None:
        return "waits for its queue to notice it"
    if holds(workload, "Admitted"):
        return ""
    for kind in ("QuotaReserved", "Evicted", "Admitted"):
        if message := condition(workload, kind).get("message"):
            return f"waits in the queue: {' '.join(str(message).split())}"
    return "waits in the queue"


def why_pending(pods: Iterable[Object]) -> str:
    """Return why pods of an admitted job do not run, as reported by Kubernetes; empty if they do."""
    for pod in pods:
        unscheduled = condition(pod, "PodScheduled")
        if unscheduled.get("status") == "False":
            return f"pod {_name(pod)} has no node: {unscheduled.get('message') or unscheduled.get('reason')}"
        for container in _containers(pod):
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason", "") not in _WAITING_IS_NORMAL:
                why = f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
                return f"pod {_name(pod)} does not start: {why}"
    return ""


def why_no_pods(events: Iterable[Object]) -> str:
    """Return why an admitted job has no pods, from the newest event; empty if there is none."""
    newest = max(events, key=lambda event: str(event.get("lastTimestamp") or ""), default={})
    return f"its pods cannot be created: {newest['message']}" if newest.get("message") else ""


def leader(pods: Iterable[Object]) -> Object | None:
    """Return the newest of the job's leader pods: there is one per start."""
    index = "batch.kubernetes.io/job-completion-index"
    first = [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(index) == "0"]
    return max(first, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), default=None)


def attempt(pod: Object) -> int:
    """Return the number of restarts of the job when the pod was created."""
    return int((pod["metadata"].get("labels") or {}).get("jobset.sigs.k8s.io/restart-attempt") or 0)


def ended_at(pod: Object) -> str:
    """Return when a pod's container ended, for sorting: running ones come last."""
    times = [
        str(((container.get("state") or {}).get("terminated") or {}).get("finishedAt") or "~")
        for container in _containers(pod)
    ]
    return min(times, default="~")


def ending(pod: Object) -> str:
    """Return how a pod failed: exit code, its meaning, and the last output; empty if it did not."""
    for container in _containers(pod):
        ended = (container.get("state") or {}).get("terminated") or {}
        if code := ended.get("exitCode"):
            meaning = f" ({_MEANT[code]})" if code in _MEANT else ""
            said = [line.strip() for line in str(ended.get("message") or "").splitlines() if line.strip()]
            last = f": {said[-1]}" if said else ""
            return f"pod {_name(pod)} ended with {code}{meaning}{last}"
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        return f"pod {_name(pod)} failed: {status.get('message') or status.get('reason') or 'no reason'}"
    return ""


def result(lines: Iterable[str]) -> Object | None:
    """Return the last result that a training logged: `{"event": "released" | "refused", …}`."""
    found = None
    for told in map(_figures, lines):
        if told.get("event") in _RESULTS:
            found = told
    return found


def progress(lines: Iterable[str]) -> str:
    """Return the latest progress of training or evaluation from the log; empty if there is none."""
    shown = ""
    for told in map(_figures, lines):
        if told.get("event") == "evaluating" and isinstance(told.get("share"), int | float):
            shown = f"{told.get('doing', 'evaluating')}: {told['share']:.0%}"
        if isinstance(told.get("step"), int) and isinstance(told.get("loss"), int | float):
            shown = _progress(told)
    return shown


def _progress(told: Object) -> str:
    parts = [f"step {told['step']}/{told['of']}" if "of" in told else f"step {told['step']}"]
    parts.append(f"loss {told['loss']:.3f}")
    if isinstance(told.get("tokens_per_s"), int | float):
        parts.append(f"{told['tokens_per_s']:,.0f} tokens/s")
    if isinstance(told.get("seconds_left"), int | float):
        minutes, seconds = divmod(int(told["seconds_left"]), 60)
        parts.append(f"{minutes}:{seconds:02d} left")
    return "  ".join(parts)


def _figures(line: str) -> Object:
    """Parse a line that is a JSON object; other lines, such as those of libraries, are ignored."""
    if not line.startswith("{"):
        return {}
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _containers(pod: Object) -> list[Object]:
    listed: list[Object] = (pod.get("status") or {}).get("containerStatuses") or []
    return listed


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])
