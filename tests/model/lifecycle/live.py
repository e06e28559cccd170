"""A server that is started again whenever it ends, and people who ask it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import httpx

from tests.model.serve.service_manager import ServiceManager
from tests.topics import USUAL, text
from tests.waiting import until

if TYPE_CHECKING:
    import random
    import threading
    from pathlib import Path


def serve_again(folder: Path, config: Path, over: threading.Event) -> None:
    """Start the server again whenever it ends, with the same socket, as systemd does."""
    command = [sys.executable, "-m", "scenario_model", "serve", "--config", str(config)]
    (folder / "manager").mkdir()
    with ServiceManager(folder / "manager") as manager, (folder / "serve.log").open("wb") as log:
        while not over.is_set():
            process = subprocess.Popen(manager.command(command), stderr=log, pass_fds=manager.stored)
            while process.poll() is None and not over.wait(0.1):
                pass
            process.terminate()
            process.wait()


class Traffic:
    """One session after another, of whatever people write about now: of `words`."""

    def __init__(self, port: int, tls: Path, drawn: random.Random, pause: float = 0.02) -> None:
        self.url, self._drawn, self._pause = f"https://localhost:{port}", drawn, pause
        self._trust = ssl.create_default_context(cafile=str(tls / "ca.pem"))
        self.secret = (tls / "api_key").read_text().strip()
        self.words = USUAL
        self.failed: list[str] = []
        self.answers: Counter[str] = Counter()

    def ask(self, over: threading.Event) -> None:
        """Ask until it is over; who is not answered has failed, once the server was up for the first time."""
        headers = {"Authorization": f"Bearer {self.secret}"}
        with httpx.Client(verify=self._trust, timeout=120, headers=headers) as http:
            until(lambda: over.is_set() or self._is_up(http), timeout_s=120)
            while not over.wait(self._pause):
                body = {"model": "assistant", "prompt": text(self.words, self._drawn), "max_tokens": 2}
                body |= {"ignore_eos": True}
                session = {"X-Session-Id": hashlib.sha256(os.urandom(8)).hexdigest()}
                try:
                    answer = http.post(f"{self.url}/v1/completions", json=body, headers=session)
                    answer.raise_for_status()
                    self.answers[answer.headers["x-release"]] += 1
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))

    def _is_up(self, http: httpx.Client) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return http.get(f"{self.url}/readyz").status_code == 200
        return False
