"""What a site reports of its server's metrics: the real exposition, read again and again."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.drift.detectors import Signal
from scenario_model.edge.metrics import LocalMetrics, reading
from scenario_model.exchange.contract import BOUNDS_MS, Drift, Metrics, decode, encode
from scenario_model.serve.metrics import Metrics as Served
from tests.model.exchange.test_spool import RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAT = "/v1/chat/completions"


class Server:
    """An endpoint with the metrics of a server that has no engine."""

    def __init__(self) -> None:
        self.start(RELEASE)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(outer.text or outer.metrics.text())

            def log_message(self, *_: Any) -> None:
                pass

        self.text = b""
        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/metrics"

    def start(self, release: str) -> None:
        """The server starts again, and counts from nothing."""
        service: Any = SimpleNamespace(name="assistant", release=release, engine=None, not_ready=lambda: None)
        self.metrics = Served(service)

    def answer(
        self, status: int = 200, first: float = 0.012, whole: float = 0.6, *, handler: str = CHAT
    ) -> None:
        self.metrics.http(handler, "POST", status)
        if status == 200:
            self.metrics.first_token.observe(first)
            self.metrics.whole_request.observe(whole)
            self.metrics.prompt_tokens.inc(10)
            self.metrics.generation_tokens.inc(3)
            self.metrics.finished("stop")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever)
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def test_a_report_has_what_was_added_since_the_last_reading(server: Server, tmp_path: Path) -> None:
    local = LocalMetrics(server.url, tmp_path / "metrics.json")
    for _ in range(5):
        server.answer()
    assert local.reports(100.0) == [], "nothing is known of the time before the first reading"
    for status in (200, 200, 400, 429, 503):
        server.answer(status)
    server.answer(200, handler="/metrics")
    (report,) = LocalMetrics(server.url, tmp_path / "metrics.json").reports(160.0)
    assert isinstance(report, Metrics)
    assert (report.at, report.seconds, report.release) == (160.0, 60.0, RELEASE)
    assert (report.answered, report.refused, report.failed) == (2, 2, 1)
    assert (report.prompt_tokens, report.answer_tokens) == (30, 9)
    assert (report.local, report.remote) == (0, 0)
    assert sum(report.first_token_ms) == 3
    assert decode(encode(report)) == report
    (again,) = local.reports(170.0)
    assert isinstance(again, Metrics)
    assert (again.answered, sum(again.whole_answer_ms), again.seconds) == (0, 0, 10.0)


def test_no_time_is_reported_shorter_than_it_was(server: Server, tmp_path: Path) -> None:
    local = LocalMetrics(server.url, tmp_path / "metrics.json")
    local.reports(1.0)
    times = (0.0005, 0.012, 0.11, 0.7, 6.0, 25.0, 35.0, 100.0)
    for seconds in times:
        server.answer(first=seconds)
    (report,) = local.reports(2.0)
    assert isinstance(report, Metrics)
    assert sum(report.first_token_ms) == len(times)
    for slot, bound in enumerate(BOUNDS_MS):
        truly = sum(1 for seconds in times if seconds * 1000 <= bound)
        assert sum(report.first_token_ms[: slot + 1]) <= truly
    assert (report.first_token_ms[0], report.first_token_ms[1], report.first_token_ms[-1]) == (1, 1, 3)


def test_a_server_that_started_again_is_counted_from_its_start(server: Server, tmp_path: Path) -> None:
    local = LocalMetrics(server.url, tmp_path / "metrics.json")
    for _ in range(3):
        server.answer()
    local.reports(1.0)
    server.start(RELEASE)
    for _ in range(7):
        server.answer()
    (report,) = local.reports(2.0)
    assert isinstance(report, Metrics)
    assert report.answered == 7, "more than before, and still all of it new"
    other = RELEASE.replace("0" * 64, "1" * 64)
    server.start(other)
    server.answer()
    (report,) = local.reports(3.0)
    assert isinstance(report, Metrics)
    assert (report.release, report.answered) == (other, 1)


def test_an_answer_that_broke_off_has_failed(server: Server, tmp_path: Path) -> None:
    local = LocalMetrics(server.url, tmp_path / "metrics.json")
    local.reports(1.0)
    for _ in range(4):
        server.metrics.http(CHAT, "POST", 200)
    server.metrics.finished("error")
    (report,) = local.reports(2.0)
    assert isinstance(report, Metrics)
    assert (report.answered, report.failed) == (3, 1)


@pytest.mark.parametrize("text", [b"<html>", b"\xff", b"http_requests_total 5\n", b"a{b=", b"{}", b" "])
def test_what_is_not_metrics_makes_no_report(server: Server, tmp_path: Path, text: bytes) -> None:
    local = LocalMetrics(server.url, tmp_path / "metrics.json")
    local.reports(1.0)
    server.text = text
    assert local.reports(2.0) == []
    assert reading(text.decode("latin-1"), 1.0) is None


def test_without_a_server_there_is_no_report(tmp_path: Path) -> None:
    assert LocalMetrics("http://127.0.0.1:9/metrics", tmp_path / "metrics.json").reports() == []


class Watched:
    """What an observer says of itself."""

    window_seconds, units, loss = 60.0, 5, 0.9

    def __init__(self) -> None:
        self.windows = 1
        self.signals = [Signal("changed", 3.25, 100.0), Signal("reference", 200.0, 100.0)]


def test_drift_is_reported_once_for_each_window(server: Server, tmp_path: Path) -> None:
    watched = Watched()
    server.metrics.observe(watched)  # type: ignore[arg-type]
    local = LocalMetrics(server.url, tmp_path / "metrics.json")
    assert local.reports(1.0) == []
    assert [type(each) for each in local.reports(2.0)] == [Metrics]
    watched.windows += 1
    _, drift = local.reports(3.0)
    assert isinstance(drift, Drift)
    assert (drift.release, drift.units, drift.window_seconds, drift.asks) == (RELEASE, 5, 60.0, "warning")
    assert [(each.name, each.value) for each in drift.signals] == [("changed", 3.25), ("reference", 200.0)]
    assert decode(encode(drift)) == drift
    watched.windows += 1
    watched.signals[0] = Signal("changed", 300.0, 100.0)
    _, drift = local.reports(4.0)
    assert isinstance(drift, Drift)
    assert drift.asks == "retraining"
