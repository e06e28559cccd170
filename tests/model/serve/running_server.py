"""The real `scenario-model serve` in a process of its own."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.model.serve.service_manager import ServiceManager

    StartServer = Callable[..., AbstractContextManager["RunningServer"]]


def write_serve_config(deployment: Path, folder: Path, **changes: Any) -> Path:
    """Write a serve.json for the deployment; `changes` replace its keys."""
    config = {
        "store": str(deployment / "store"),
        "name": "assistant",
        "verification_key": str(deployment / "release-verification.pem"),
        "port": 0,
        "tls": {
            "certificate": str(deployment / "tls" / "server.pem"),
            "private_key": str(deployment / "tls" / "server.key"),
        },
        "api_keys": str(deployment / "tls" / "api_keys.json"),
        "limits": {"requests_per_minute": None, "stall_seconds": 1},
        "engine": {"weights": "fp32", "compile": "off", "threads": 1, "max_waiting": 24},
        "cache": str(folder / "cache"),
    }
    path = folder / f"serve-{len(list(folder.iterdir()))}.json"
    path.write_text(json.dumps(config | changes))
    return path


class RunningServer:
    """The real command in a process of its own."""

    def __init__(
        self,
        deployment: Path,
        config: Path,
        descriptors: int | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        """`descriptors`: at most so many, as a service manager may set it. `manager`: keeps its socket."""
        self.key = (deployment / "tls" / "api_key").read_text().strip()
        self.trust = ssl.create_default_context(cafile=str(deployment / "tls" / "ca.pem"))
        self.log = config.with_suffix(".log")
        command = [sys.executable, "-m", "scenario_model", "serve", "--config", str(config), "--json"]
        if descriptors is not None:
            command = ["/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command]
        kept = [] if manager is None else manager.stored
        command = command if manager is None else manager.command(command)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, pass_fds=kept
            )
        (listening,) = self.wait_for(lambda: [e for e in self.events() if e["event"] == "listening"])
        self.port = listening["port"]
        self.url = f"https://localhost:{self.port}"

    def events(self) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")
        ]

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline() or "null")
        assert ready, self.log.read_text()
        self.release = ready["release"]

    def wait_for(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.05)
        return found

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={"Authorization": f"Bearer {self.key}"}, verify=self.trust)

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.post(self.url + path, json=body, headers=headers, verify=self.trust)

    def metric(self, name: str, **labels: str) -> float:
        families = text_string_to_metric_families(self.get("/metrics").text)
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def kill(self) -> None:
        """End the process, whatever it does."""
        with self.process:
            self.process.kill()
