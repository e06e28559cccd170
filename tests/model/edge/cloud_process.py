"""A catalogue's web server, the real command in a process of its own, and sites that join it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from scenario_model.exchange.contract import Status
from scenario_model.exchange.inbox import Inbox
from scenario_model.release.store import FolderStore
from scenario_model.serve import credentials
from tests.model.exchange.counted import counted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.model.catalogue.world import World


def program(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "scenario_model", *map(str, arguments)]


def run(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(program(*arguments), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


class Cloud:
    """The catalogue's web server; it can be killed and started again at the same port."""

    def __init__(self, world: World) -> None:
        self.world, self.tls = world, world.folder / "tls"
        credentials.ensure(self.tls, ["127.0.0.1"])
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        files = ["--certificate", self.tls / "server.pem", "--private-key", self.tls / "server.key"]
        files += ["--sites-key", self.world.folder / "keys" / "sites.pem"]
        command = program("catalogue", "serve", "--store", self.world.store, "--port", self.port, *files)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout
        assert json.loads(self.process.stdout.readline())["port"] == self.port

    def stop(self) -> None:
        with self.process:
            self.process.terminate()
            assert self.process.wait(30) == 0

    def kill(self) -> None:
        with self.process:
            self.process.kill()

    def invite(self, site: str, ring: str = "first") -> str:
        url = f"https://127.0.0.1:{self.port}"
        asked = (
            "--ring",
            ring,
            "--url",
            url,
            "--authority",
            self.tls / "ca.pem",
            "--store",
            self.world.store,
        )
        return run("catalogue", "invite", site, *asked).stdout.strip()

    def reported(self) -> list[tuple[str, int, Status]]:
        found = counted(Inbox(FolderStore(self.world.store)))
        return [(each.site, each.number, each.message) for each in found if isinstance(each.message, Status)]


def enrolled(cloud: Cloud, name: str, token: str = "") -> Path:
    folder = cloud.world.folder / name
    options = (
        "--folder",
        folder,
        "--store",
        folder / "store",
        "--verification-key",
        cloud.world.key_pair.public,
    )
    run("edge", "enrol", token or cloud.invite(name), *options)
    config = json.loads((folder / "edge.json").read_text())
    (folder / "edge.json").write_text(
        json.dumps(config | {"server": "https://127.0.0.1:9", "ready_seconds": 0.1, "poll_seconds": 0.2})
    )
    return folder
