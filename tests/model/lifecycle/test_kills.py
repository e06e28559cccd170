"""Whole loops whose step is killed at some moment, with its training or without it: all come to the same history.

Training, evaluation, signing, store, channel and history are real; the server is a stand-in that is ready at once and
finds no canary worse. tests/model/lifecycle/test_step.py kills before and after each write instead.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.digests import json_digest, tree_digest
from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import WindowLog
from scenario_model.release.store import FolderStore
from tests.model.lifecycle.test_loop import Place
from tests.model.lifecycle.test_policy import ASKING
from tests.topics import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * 3600)]
LOOPS = 100
_DATED = frozenset({"release.json", "release.sig"})
_KEPT = ("data", "runs", "store", "follow", "canary", "observation")


@contextlib.contextmanager
def stand_in_server(place: Place) -> Iterator[None]:
    """Ready with whatever it is told to serve."""

    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("x-release", (place.folder / "follow").read_text().strip())
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("localhost", place.port), Ready)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place.folder / "tls" / "server.pem", place.folder / "tls" / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Loop:
    """One lifecycle, from drifted traffic to the release that came of it."""

    def __init__(self, place: Place, template: Path, first: str) -> None:
        self.place, self.first, self.elapsed = place, first, 0.0
        for name in _KEPT:
            there = place.folder / name
            shutil.rmtree(there) if there.is_dir() else there.unlink(missing_ok=True)
            if (template / name).is_dir():
                shutil.copytree(template / name, there)
        log = WindowLog(place.folder / "observation" / WINDOWS)
        for _ in range(2):
            log.add(replace(ASKING, release=first))

    def step(self, kill_at: float | None, *, whole: bool) -> bool:
        """Do a step; False if it was killed when the loop had taken so long. `whole`: with what it had started."""
        self._judge()
        command = [sys.executable, "-m", "scenario_model", "lifecycle", "step", "--json"]
        told = self.place.folder / "lifecycle.json"
        began = time.monotonic()
        with subprocess.Popen(
            [*command, "--config", str(told)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            left = None if kill_at is None else max(kill_at - self.elapsed, 0)
            try:
                _, said = process.communicate(timeout=left)
                assert process.returncode in (0, 75), said.decode()
            except subprocess.TimeoutExpired:
                kill = os.killpg if whole else os.kill
                kill(process.pid, signal.SIGKILL)
                process.communicate()
                return False
            finally:
                self.elapsed += time.monotonic() - began
        return True

    def _judge(self) -> None:
        named = self.place.folder / "canary"
        if named.is_file():
            told: dict[str, Any] = {
                "release": named.read_text().strip(),
                "state": "judging",
                "why": "",
                "beside": self.first,
            }
            told |= {"canary": 100, "running": 900, "compared": 100, "worse": []}
            (self.place.folder / "observation" / "canary.json").write_text(json.dumps(told))

    def history(self) -> list[tuple[str, str, str, str]]:
        told = self.place.command("lifecycle", "history", "--config", self.place.folder / "lifecycle.json")
        names = ("release", "beside")
        return [
            (each["event"], *(self.model_of(each[name]) for name in names), each["why"])
            for each in told["entries"]
        ]

    def model_of(self, release: str) -> str:
        """The digest of a release without what says when it was made."""
        if not release:
            return ""
        folder = FolderStore(self.place.folder / "store").fetch(release)
        manifest = json.loads((folder / "release.json").read_text())
        del manifest["created"]
        return json_digest([tree_digest(folder, leave_out=_DATED), manifest])


def test_a_hundred_loops_with_a_random_kill_come_to_the_same_history(
    tmp_path: Path, tiny_foundation: Path
) -> None:
    place, template = Place(tmp_path, tiny_foundation), tmp_path / "template"
    first = place.release()
    place.add(OTHER, 24)
    place.lifecycle()
    for name in _KEPT:
        if (place.folder / name).is_dir():
            shutil.copytree(place.folder / name, template / name)
    with stand_in_server(place):
        reference = Loop(place, template, first)
        while not reference.history() or reference.history()[-1][0] != "settled":
            assert reference.step(None, whole=True)
        expected, takes = reference.history(), reference.elapsed
        assert [each[0] for each in expected] == [
            "asked",
            "approved",
            "trained",
            "tried",
            "promoted",
            "settled",
        ]
        killed = 0
        for number in range(LOOPS):
            dice = random.Random(number)
            loop, at, whole = Loop(place, template, first), dice.uniform(0, takes), dice.random() < 0.5
            deadline = time.monotonic() + 10 * takes + 60
            kill_at: float | None = at
            while not (found := loop.history()) or found[-1][0] != "settled":
                assert time.monotonic() < deadline, (number, found)
                if not loop.step(kill_at, whole=whole):
                    killed, kill_at = killed + 1, None
            assert found == expected, (number, at, whole)
            assert loop.model_of(place.named()) == expected[-1][1]
        print(f"{killed} of {LOOPS} loops were killed, each of {takes:.0f} s without a kill")
    assert killed > 0.9 * LOOPS
