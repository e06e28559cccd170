"""`/metrics` in the Prometheus text format, under the names that vLLM's dashboards use.

Names and meanings follow https://docs.vllm.ai/en/stable/usage/metrics/ ; `vllm:time_per_output_token_seconds`
is the older name of `vllm:inter_token_latency_seconds`. Every series carries `model_name` and `release`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from scenario_model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from scenario_model.observe.observer import Observer
    from scenario_model.serve.engine.interface import EngineStatistics
    from scenario_model.serve.service import Service
    from scenario_model.serve.settings import MetricsPort

_LABELS = ("model_name", "release")
_FIRST_TOKEN = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
)
_BETWEEN_TOKENS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1,
    2.5,
    5,
)
_WHOLE_REQUEST = (0.05, 0.1, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class Metrics:
    """Counters and histograms of one server; the engine's own are read on scrape."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry()
        self._label_values = (service.name, service.release)
        self._registry.register(_EngineMetrics(service))
        self.prompt_tokens = self._counter("vllm:prompt_tokens", "Prompt tokens processed.")
        self.generation_tokens = self._counter("vllm:generation_tokens", "Tokens generated.")
        self.first_token = self._histogram(
            "vllm:time_to_first_token_seconds", "From request to first token.", _FIRST_TOKEN
        )
        self._between = [
            self._histogram(name, "From one output token to the next.", _BETWEEN_TOKENS)
            for name in ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds")
        ]
        self.whole_request = self._histogram(
            "vllm:e2e_request_latency_seconds", "From request to last token.", _WHOLE_REQUEST
        )
        self.per_token = self._histogram(
            "vllm:request_time_per_output_token_seconds",
            "Time per output token after the first, mean of each request.",
            _BETWEEN_TOKENS,
        )
        self.request_prompt = self._histogram("vllm:request_prompt_tokens", "Prompt tokens.", _TOKENS)
        self.request_generation = self._histogram(
            "vllm:request_generation_tokens", "Tokens generated for a request.", _TOKENS
        )
        self._success = Counter(
            "vllm:request_success",
            "Requests that ended, by reason.",
            (*_LABELS, "finished_reason"),
            registry=self._registry,
        )
        self._computed = Counter(
            "scenario_model_answers_computed",
            "Answers by where they were computed: local or remote.",
            (*_LABELS, "where"),
            registry=self._registry,
        )
        self._spilled = Counter(
            "scenario_model_requests_spilled",
            "Requests that were to be answered by the cloud, by reason.",
            (*_LABELS, "reason"),
            registry=self._registry,
        )
        self._kept = Counter(
            "scenario_model_requests_kept",
            "Requests that the cloud would have answered but for their data class, by reason.",
            (*_LABELS, "reason"),
            registry=self._registry,
        )
        self._http = Counter(
            "http_requests",
            "HTTP requests answered.",
            (*_LABELS, "handler", "method", "status"),
            registry=self._registry,
        )
        self._refused_requests = Counter(
            "scenario_model_requests_refused",
            "Requests refused or failed, by reason and parameter.",
            (*_LABELS, "status", "reason", "param"),
            registry=self._registry,
        )
        self._refused = Counter(
            "scenario_model_connections_refused",
            "Connections and malformed requests rejected before they reached a handler.",
            (*_LABELS, "reason"),
            registry=self._registry,
        )

    def between_tokens(self, seconds: float) -> None:
        """Observe the time between two output tokens of one answer."""
        for histogram in self._between:
            histogram.observe(seconds)

    def finished(self, reason: str) -> None:
        """Count an answer's end: stop, length, abort (the client left) or error."""
        self._success.labels(*self._label_values, reason).inc()

    def computed(self, *, remote: bool) -> None:
        """Count an answer by where it was computed."""
        self._computed.labels(*self._label_values, "remote" if remote else "local").inc()

    def spilled(self, reason: str) -> None:
        """Count a request that leaves for the cloud: queue, model or loading."""
        self._spilled.labels(*self._label_values, reason).inc()

    def kept(self, reason: str) -> None:
        """Count a request whose data class keeps it here: queue, model or loading."""
        self._kept.labels(*self._label_values, reason).inc()

    def http(self, handler: str, method: str, status: int) -> None:
        """Count an HTTP answer."""
        self._http.labels(*self._label_values, handler, method, str(status)).inc()

    def refused_request(self, status: int, reason: str, param: str | None) -> None:
        """Count a request that was refused or failed; `param`: the parameter at fault, if it is a known one."""
        self._refused_requests.labels(*self._label_values, str(status), reason, param or "").inc()

    def certificate_ends(self, timestamp: float) -> None:
        """Tell until when the server's certificate is valid, in seconds since 1970."""
        Gauge(
            "scenario_model_certificate_not_after_timestamp_seconds",
            "When the server's certificate expires.",
            _LABELS,
            registry=self._registry,
        ).labels(*self._label_values).set(timestamp)

    def refused(self, reason: str) -> None:
        """Count connections rejected before HTTP."""
        self._refused.labels(*self._label_values, reason).inc()

    def observe(self, observer: Observer) -> None:
        """Offer what an observer has found, as it is at each scrape."""
        self._registry.register(_DriftMetrics(observer, self._label_values))

    def listen(self, port: MetricsPort) -> None:
        """Answer without a key on a port of its own, as long as the process lives. Raises InputError if it is taken."""
        try:
            start_http_server(port.port, port.host, self._registry)
        except OSError as error:
            raise InputError(
                f"cannot listen there for metrics: {error.strerror}", where=f"{port.host}:{port.port}"
            ) from None

    def text(self) -> bytes:
        """All metrics, in the Prometheus text exposition format 0.0.4."""
        return generate_latest(self._registry)

    def _counter(self, name: str, documentation: str) -> Counter:
        return Counter(name, documentation, _LABELS, registry=self._registry).labels(*self._label_values)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        histogram = Histogram(name, documentation, _LABELS, buckets=buckets, registry=self._registry)
        return histogram.labels(*self._label_values)


class _EngineMetrics:
    """Reads the engine's statistics on scrape."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        service = self._service
        labels = (service.name, service.release)
        gauges = {
            "scenario_model_ready": ("1 if the server answers requests.", float(service.not_ready() is None))
        }
        counters: dict[str, tuple[str, float]] = {}
        if service.engine is not None:
            now = service.engine.statistics()
            gauges |= _gauges(now)
            counters = _counters(now)
        for kind, values in ((GaugeMetricFamily, gauges), (CounterMetricFamily, counters)):
            for name, (documentation, value) in values.items():
                family = kind(name, documentation, labels=_LABELS)
                family.add_metric(labels, value)
                yield family


class _DriftMetrics(Collector):
    """The detectors' state after the last window."""

    def __init__(self, observer: Observer, labels: tuple[str, str]) -> None:
        self._observer, self._labels = observer, labels

    def collect(self) -> Iterator[Metric]:
        """Read them, when Prometheus scrapes."""
        watched = self._observer
        counts = GaugeMetricFamily(
            "scenario_model_drift_units", "Sessions of the last window.", labels=_LABELS
        )
        counts.add_metric(self._labels, watched.units)
        length = GaugeMetricFamily(
            "scenario_model_drift_window_seconds", "A window's length.", labels=_LABELS
        )
        length.add_metric(self._labels, watched.window_seconds)
        windows = CounterMetricFamily(
            "scenario_model_drift_windows", "Windows since the start.", labels=_LABELS
        )
        windows.add_metric(self._labels, watched.windows)
        labels = (*_LABELS, "detector")
        values = GaugeMetricFamily("scenario_model_drift_evidence", "Evidence of a change.", labels=labels)
        limits = GaugeMetricFamily("scenario_model_drift_threshold", "Where evidence alarms.", labels=labels)
        loss = GaugeMetricFamily(
            "scenario_model_loss_bits_per_byte", "What the model needs for what it is asked.", labels=_LABELS
        )
        if watched.loss is not None:
            loss.add_metric(self._labels, watched.loss)
        for signal in watched.signals:
            values.add_metric((*self._labels, signal.name), signal.value)
            limits.add_metric((*self._labels, signal.name), signal.threshold)
        yield from (counts, length, windows, loss, values, limits)


def _gauges(now: EngineStatistics) -> dict[str, tuple[str, float]]:
    gauges = {
        "vllm:num_requests_running": ("Requests that are generating.", float(now.running)),
        "vllm:num_requests_waiting": ("Requests that wait for a slot.", float(now.waiting)),
        "vllm:kv_cache_usage_perc": (
            "Share of the key/value cache in use, 0 to 1.",
            now.cache_usage,
        ),
    }
    if now.last_step_seconds is not None:
        gauges["scenario_model_engine_step_seconds"] = ("Duration of the last step.", now.last_step_seconds)
    return gauges


def _counters(now: EngineStatistics) -> dict[str, tuple[str, float]]:
    return {
        "vllm:spec_decode_num_drafts": ("Drafts that were checked (engine.prompt_lookup).", now.drafts_total),
        "vllm:spec_decode_num_draft_tokens": ("Tokens in these drafts.", now.tokens_drafted_total),
        "vllm:spec_decode_num_accepted_tokens": (
            "Of these, tokens that were right.",
            now.tokens_accepted_total,
        ),
    }
