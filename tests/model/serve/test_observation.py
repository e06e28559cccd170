"""Observation of real requests by the real server: in windows, with the release's baseline, and no text to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.sealed import opened
from scenario_model.observe.windows import WindowLog
from scenario_model.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.serve.running_server import StartServer

pytestmark = pytest.mark.slow
ENGINE = {"weights": "fp32", "compile": "off", "threads": 1}
DETECTORS = ("outlying", "reference", "changed", "novel")


def test_what_is_asked_is_counted_scored_and_offered_to_prometheus(
    start_server: StartServer, tmp_path: Path
) -> None:
    keys.create_pair(tmp_path / "reader.pem", tmp_path / "reader.pub")
    kept_text = {"recipient": (tmp_path / "reader.pub").read_text(), "share": 1.0}
    told = {
        "state": str(tmp_path / "observation"),
        "window_seconds": 1.0,
        "loss_share": 0.5,
        "kept_text": kept_text,
    }
    with start_server(engine=ENGINE, observation=told) as server:
        secret = "the planted secret of a prompt, and what else one says to be long enough for a session " * 3
        body = {"model": "assistant", "prompt": secret, "max_tokens": 2, "ignore_eos": True}
        assert server.post("/v1/completions", body).status_code == 200
        assert server.post("/v1/completions", {"model": "assistant"}).status_code == 400
        log = WindowLog(tmp_path / "observation" / WINDOWS)
        (window,) = server.wait_for(lambda: [each for each in log.read() if each.units])
        assert window.release == server.release
        assert [name for name, _, _ in window.signals] == list(DETECTORS)
        assert sum(each.answered for each in log.read()) == 1
        assert sum(each.refused for each in log.read()) == 1
        (known,) = server.wait_for(lambda: [each.loss for each in log.read() if each.loss is not None])
        assert 0 < known < 30
        assert server.metric("scenario_model_loss_bits_per_byte") == known
        assert [*(window.answer_tokens or ())] == [2, 2]
        for name in DETECTORS:
            assert server.metric("scenario_model_drift_threshold", detector=name) > 10_000
        assert server.metric("scenario_model_drift_windows_total") >= 1
        shown = server.get("/status")
        assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        assert server.release in shown.text
        assert "promote" in shown.text, "the channel's history"
        assert f"The model needs {known:.2f} bits per byte for what it is asked" in shown.text
        assert "at most one alarm in 10,000 windows" in shown.text
        assert "planted" not in shown.text
        browser = httpx.get(server.url + "/status", auth=("anyone", server.key), verify=server.trust)
        assert browser.status_code == 200
        stranger = httpx.get(server.url + "/status", auth=("anyone", "wrong"), verify=server.trust)
        assert (stranger.status_code, stranger.headers["www-authenticate"][:5]) == (401, "Basic")
        elsewhere = httpx.get(server.url + "/v1/models", auth=("anyone", server.key), verify=server.trust)
        assert (elsewhere.status_code, elsewhere.headers["www-authenticate"]) == (401, "Bearer")
    written = [path for path in (tmp_path / "observation").rglob("*") if path.is_file()]
    assert b"planted" not in b"".join(path.read_bytes() for path in written)
    assert "planted" not in server.log.read_text()
    (file,) = (path for path in written if path.suffix == ".kept")
    header, texts = opened(file, keys.load_private(tmp_path / "reader.pem"))
    assert (header.release, texts) == (server.release, [secret])
