"""vLLM's process: starts it, waits until it is up, monitors and stops it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from scenario_model.errors import ScenarioModelError
from scenario_model.serve import logs
from scenario_model.serve.vllm import guard
from scenario_model.serve.vllm.command import arguments, environment, require

if TYPE_CHECKING:
    from scenario_model.serve.vllm.settings import InstalledVllm

_POLL_SECONDS = 0.2
_LINE_LENGTH = 1000
# A socket in a folder private to this user needs neither a port nor a key.
BASE_URL = "http://vllm"


class VllmProcess:
    """One vLLM with its guard. The creator must call `stop`; at the latest it ends with this process."""

    def __init__(self, model_dir: Path, settings: InstalledVllm, cache: Path | None) -> None:
        """Start it. Raises InputError if the environment has no vLLM."""
        require(settings)
        self._folder = Path(tempfile.mkdtemp(prefix="vllm-"))
        self.socket = self._folder / "http.sock"
        kept = (cache or self._folder) / "vllm"
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._last: deque[str] = deque(maxlen=40)
        self.ended = False
        held, self._leash = os.pipe()
        said, says = os.pipe()
        command = [sys.executable, "-I", "-S", guard.__file__, str(self._folder)]
        self._guard = subprocess.Popen(  # noqa: S603
            [*command, *arguments(model_dir, settings, self.socket)],
            env=environment(settings, self._folder, kept),
            cwd=kept,
            stdin=held,
            stdout=says,
            stderr=says,
            start_new_session=True,
        )
        os.close(held)
        os.close(says)
        self._logging = threading.Thread(target=self._log, args=(said,), name="vllm-log", daemon=True)
        self._logging.start()
        self._reaping = threading.Thread(target=self._reap, name="vllm-end", daemon=True)
        self._reaping.start()

    def wait_until_up(self) -> int:
        """Wait until the model is loaded, and return its context length in tokens.

        Raises ScenarioModelError, with vLLM's last output, if it exits before.
        """
        transport = httpx2.HTTPTransport(uds=str(self.socket), trust_env=False)
        with httpx2.Client(transport=transport, base_url=BASE_URL, timeout=5, trust_env=False) as client:
            while not self.ended:
                with contextlib.suppress(httpx2.TransportError):
                    if self._listens() and client.get("/health").is_success:
                        (model,) = client.get("/v1/models").raise_for_status().json()["data"]
                        return int(model["max_model_len"])
                time.sleep(_POLL_SECONDS)
        raise ScenarioModelError(
            f"vLLM ended before the model was loaded: {self._last_words()}", remedy="see the log"
        )

    def stop(self) -> None:
        """Stop it and all its child processes; takes a few seconds at most."""
        leash, self._leash = self._leash, -1
        if leash >= 0:
            os.close(leash)
        self._reaping.join(guard.GRACE_SECONDS + 2)
        if self._reaping.is_alive():
            self._kill()
            self._reaping.join()
        self._logging.join(1)

    def _listens(self) -> bool:
        # It binds the socket long before it listens, and the HTTP client keeps failed connections.
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def _reap(self) -> None:
        """Wait for the guard to exit. It has then killed the others, unless it was killed itself."""
        os.waitid(os.P_PID, self._guard.pid, os.WEXITED | os.WNOWAIT)
        self._kill()
        self.ended = True
        self._guard.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._guard.pid, signal.SIGKILL)

    def _log(self, said: int) -> None:
        """Forward its log. It does not log requests, and on failure dumps lengths instead of prompts."""
        with open(said, "rb") as lines:
            for line in lines:
                if text := line.decode(errors="replace").strip()[:_LINE_LENGTH]:
                    self._last.append(text)
                    logs.info("vllm", line=text)

    def _last_words(self) -> str:
        self._logging.join(1)
        lines = list(self._last)
        errors = [line for line in lines if "Error" in line and "Traceback" not in line]
        return (errors or lines or ["no output"])[-1]
