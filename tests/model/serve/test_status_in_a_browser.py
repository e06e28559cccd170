"""The status page of a real server in a real browser: on a phone, a desktop and paper, and for who does not see it."""

from __future__ import annotations

import pydoc_data.topics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import WindowLog
from tests.browser import look

if TYPE_CHECKING:
    from tests.model.serve.running_server import StartServer

# `make test` asks the same server for the page without a browser: tests/model/serve/test_observation.py.
pytestmark = pytest.mark.soak


def test_the_page_fits_loads_nothing_else_and_has_no_barrier(
    start_server: StartServer, cache: Path, tmp_path: Path
) -> None:
    told = {"state": str(tmp_path / "observation"), "window_seconds": 2.0}
    engine = {"weights": "fp32", "compile": "off", "threads": 1}
    with start_server(engine=engine, observation=told) as server:
        log = WindowLog(tmp_path / "observation" / WINDOWS)
        deadline = time.monotonic() + 120
        while len(log.read()) < 6:
            assert time.monotonic() < deadline
            for text in list(pydoc_data.topics.topics.values())[:12]:
                body = {"model": "assistant", "prompt": text[:400], "max_tokens": 2, "ignore_eos": True}
                assert server.post("/v1/completions", body).status_code == 200
        scripts = Path(__file__).with_name("clients") / "browser"
        seen = look(cache, scripts, tmp_path, f"{server.url}/status", tmp_path, told=server.key)
        assert {each.partition("?")[0] for each in seen["requests"]} == {f"{server.url}/status"}
    assert seen["renews"] == [False, True, False], (
        "it renews itself for who asked for it, until they have enough"
    )
    assert seen["errors"] == []
    assert seen["violations"] == {"phone": [], "desktop": []}
    assert seen["passes"] > 10, "axe has looked"
    assert seen["wider"] == {"phone": 0, "desktop": 0}
    assert (tmp_path / "print.pdf").read_bytes().startswith(b"%PDF")
