"""What the site's requests were like since the last reading, from the local server's own metrics.

The server counts from its start; a report has what was added since. Of a server that was started again, that is all
it counts. What cannot be read is not reported.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from scenario_model.atomic_io import write_json
from scenario_model.edge.drift import WINDOWS, drift_in
from scenario_model.exchange.contract import BOUNDS_MS, Metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from scenario_model.exchange.contract import Drift

_SECONDS = httpx2.Timeout(5.0)
_HANDLERS = frozenset({"/v1/chat/completions", "/v1/completions"})
_REQUESTS, _ENDS = "http_requests_total", "vllm:request_success_total"
_PROMPT, _ANSWER = "vllm:prompt_tokens_total", "vllm:generation_tokens_total"
_COMPUTED = "scenario_model_answers_computed_total"
"""With the label `where`: local or remote. Only a server that may route to the cloud has it."""
_FIRST, _WHOLE = "vllm:time_to_first_token_seconds_bucket", "vllm:e2e_request_latency_seconds_bucket"
_STARTED = "vllm:prompt_tokens_created"
_NAMES = frozenset({WINDOWS, _REQUESTS, _ENDS, _PROMPT, _ANSWER, _COMPUTED, _FIRST, _WHOLE, _STARTED})


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters of one server at one time, by their name and labels, as JSON. `started`: its start, if told."""

    at: float
    release: str
    started: float
    counts: Mapping[str, float]

    def since(self, former: Reading) -> dict[str, float]:
        """What was added since `former`: all of it if the server has started again since, or serves another release."""
        if former.release != self.release or former.started != self.started:
            return dict(self.counts)
        if any(self.counts.get(key, 0.0) < count for key, count in former.counts.items()):
            return dict(self.counts)
        return {key: count - former.counts.get(key, 0.0) for key, count in self.counts.items()}


@dataclass(frozen=True, slots=True)
class LocalMetrics:
    """Reads the metrics at `url`. `kept`: the file that has the last reading, so that an agent may start again."""

    url: str
    kept: Path

    def reports(self, now: float | None = None) -> list[Metrics | Drift]:
        """What there is to tell since the last reading, if it can be told: counts, and drift after a new window."""
        at = time.time() if now is None else now
        try:
            with httpx2.Client(timeout=_SECONDS, trust_env=False) as client:
                answer = client.get(self.url)
        except httpx2.HTTPError:
            return []
        new = reading(answer.text, at) if answer.is_success else None
        if new is None:
            return []
        former = self._former()
        # Kept first: an agent that is killed in between leaves a gap, and counts nothing twice.
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.kept, [new.at, new.release, new.started, dict(new.counts)])
        if former is None:
            return []
        told: list[Metrics | Drift | None] = [_report(new, former)]
        if new.since(former).get(_WINDOWS_KEY, 0.0) > 0:
            told.append(drift_in(answer.text, at))
        return [each for each in told if each]

    def _former(self) -> Reading | None:
        try:
            at, release, started, counts = json.loads(self.kept.read_text(encoding="utf-8"))
            return Reading(float(at), str(release), float(started), {**counts})
        except (OSError, ValueError, TypeError):
            return None


_WINDOWS_KEY = json.dumps([WINDOWS, {}], sort_keys=True)


def reading(text: str, at: float) -> Reading | None:
    """Read a server's metrics. None if they are not in Prometheus' format, or not those of one release."""
    counts: dict[str, float] = {}
    releases, started = set[str](), 0.0
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in _NAMES and "release" in sample.labels:
                    releases.add(sample.labels["release"])
                    if sample.name == _STARTED:
                        started = sample.value
                    else:
                        counts[_key(sample.name, sample.labels)] = sample.value
    except (ValueError, KeyError, IndexError):
        return None
    return Reading(at, releases.pop(), started, counts) if len(releases) == 1 else None


def _key(name: str, labels: Mapping[str, str]) -> str:
    told = {label: value for label, value in labels.items() if label not in ("release", "model_name")}
    return json.dumps([name, told], sort_keys=True)


def _report(new: Reading, former: Reading) -> Metrics | None:
    added = [(*json.loads(key), count) for key, count in new.since(former).items()]
    statuses = [
        (labels.get("status", ""), count)
        for name, labels, count in added
        if name == _REQUESTS and labels.get("handler") in _HANDLERS
    ]
    by_hundred = {digit: sum(n for status, n in statuses if status.startswith(digit)) for digit in "245"}
    # An answer that broke off has failed, whatever its status was; one that failed at once has a status that says so.
    broken = max(0.0, _sum(added, _ENDS, finished_reason="error") - by_hundred["5"])
    try:
        return Metrics(
            at=round(new.at, 1),
            release=new.release,
            seconds=round(max(0.0, new.at - former.at), 1),
            answered=int(max(0.0, by_hundred["2"] - broken)),
            refused=int(by_hundred["4"]),
            failed=int(by_hundred["5"] + broken),
            local=int(_sum(added, _COMPUTED, where="local")),
            remote=int(_sum(added, _COMPUTED, where="remote")),
            prompt_tokens=int(_sum(added, _PROMPT)),
            answer_tokens=int(_sum(added, _ANSWER)),
            first_token_ms=_histogram(added, _FIRST),
            whole_answer_ms=_histogram(added, _WHOLE),
        )
    except ValidationError:
        return None


def _sum(added: Iterable[Any], wanted: str, **labels: str) -> float:
    found = [float(count) for name, has, count in added if name == wanted and labels.items() <= has.items()]
    return sum(found)


def _histogram(added: Iterable[Any], wanted: str) -> tuple[int, ...]:
    """The contract's buckets from the server's: what may be in either of two is counted in the slower one."""
    upto = sorted((float(has["le"]), count) for name, has, count in added if name == wanted and "le" in has)
    buckets, below = [0] * (len(BOUNDS_MS) + 1), 0.0
    for seconds, count in upto:
        slot = next((at for at, bound in enumerate(BOUNDS_MS) if seconds * 1000 <= bound), len(BOUNDS_MS))
        buckets[slot] += round(max(0.0, count - below))
        below = count
    return tuple(buckets)
