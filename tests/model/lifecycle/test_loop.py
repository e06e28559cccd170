"""The whole loop, with real processes and a tiny model: serve, drift, train, gate, canary, promote."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import WindowLog
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.serve import credentials
from scenario_model.signing import keys
from tests.model.lifecycle.live import Traffic, serve_again
from tests.model.serve.test_kept_socket import free_port
from tests.topics import OTHER, USUAL, text
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RECIPE = {
    "rank": 4,
    "learning_rate": 1e-2,
    "sequence_length": 64,
    "tokens_per_step": 256,
    "micro_batch": 2,
    "max_steps": 6,
    "dtype": "fp32",
}


class Place:
    """A deployment as hosts have it: a store, a server that is started again, a lifecycle beside it."""

    def __init__(self, folder: Path, foundation: Path) -> None:
        self.folder, self.drawn = folder, random.Random(1)
        (folder / "data").mkdir()
        self.add(USUAL, 24)
        self.config = self._write(
            "train.json",
            foundation=str(foundation),
            runs=str(folder / "runs"),
            data={"kind": "text", "path": str(folder / "data"), "held_out": 0.4},
            recipe=RECIPE,
        )
        self.gate = self._write("gate.json", old_domain_margin=10.0)
        keys.create_pair(folder / "key.pem", folder / "key.pub")
        credentials.ensure(folder / "tls", ["localhost"])
        self.port = free_port()
        self.traffic = Traffic(self.port, self.folder / "tls", self.drawn)
        self._over = threading.Event()

    def add(self, words: list[str], number: int) -> None:
        """Add documents to the data."""
        there = len(list((self.folder / "data").iterdir()))
        for each in range(there, there + number):
            (self.folder / "data" / f"{each:03}.txt").write_text(text(words, self.drawn) + "\n")

    def _write(self, file: str, **content: Any) -> Path:
        (self.folder / file).write_text(json.dumps(content))
        return self.folder / file

    def command(self, *arguments: object) -> dict[str, Any]:
        command = [sys.executable, "-m", "scenario_model", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    def release(self) -> str:
        """Train and promote the first release, as a person does."""
        directory = self.command("train", "--config", self.config)["directory"]
        self.command("evaluate", "--run", directory, "--gate", self.gate)
        kept = ["--store", self.folder / "store", "--key", self.folder / "key.pem"]
        made = str(self.command("release", "sign", directory, *kept)["release"])
        self.command("release", "promote", made, *kept)
        return made

    def lifecycle(self) -> Path:
        """The lifecycle's configuration file."""
        return self._write(
            "lifecycle.json",
            approval="auto",
            windows=2,
            cool_down_seconds=1.0,
            canary_requests=40,
            store=str(self.folder / "store"),
            name="assistant",
            signing_key=str(self.folder / "key.pem"),
            server=f"https://localhost:{self.port}",
            follow=str(self.folder / "follow"),
            observation=str(self.folder / "observation"),
            canary=str(self.folder / "canary"),
            training={"config": str(self.config), "gate": str(self.gate)},
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve, ask, and lead the lifecycle, until the block ends."""
        asking = threading.Thread(target=self.traffic.ask, args=(self._over,))
        threads = [threading.Thread(target=self._serve), asking]
        lifecycle = self.lifecycle()
        command = [sys.executable, "-m", "scenario_model", "lifecycle", "run", "--every", "0.5"]
        with (self.folder / "lifecycle.log").open("wb") as log:
            leads = subprocess.Popen([*command, "--config", str(lifecycle)], stderr=log)
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            leads.send_signal(signal.SIGTERM)
            leads.wait()
            for thread in threads:
                thread.join()

    def _serve(self) -> None:
        config = self._write(
            "serve.json",
            store=str(self.folder / "store"),
            name="assistant",
            verification_key=str(self.folder / "key.pub"),
            port=self.port,
            tls={
                "certificate": str(self.folder / "tls" / "server.pem"),
                "private_key": str(self.folder / "tls" / "server.key"),
            },
            api_keys=str(self.folder / "tls" / "api_keys.json"),
            limits={"requests_per_minute": None},
            engine={"weights": "fp32", "compile": "off", "threads": 1},
            follow=str(self.folder / "follow"),
            canary={
                "file": str(self.folder / "canary"),
                "state": str(self.folder / "observation"),
                "share": 0.3,
            },
            observation={
                "state": str(self.folder / "observation"),
                "window_seconds": 1.0,
                "windows_per_false_alarm": 1000.0,
            },
        )
        serve_again(self.folder, config, self._over)

    def page(self) -> str:
        trust = ssl.create_default_context(cafile=str(self.folder / "tls" / "ca.pem"))
        answer = httpx.get(
            f"https://localhost:{self.port}/status", verify=trust, auth=("me", self.traffic.secret)
        )
        assert answer.status_code == 200
        return answer.text

    def windows(self, release: str) -> list[str]:
        found = WindowLog(self.folder / "observation" / WINDOWS).read()
        return [each.asks for each in found if each.release == release and each.units > 5]

    def events(self) -> list[str]:
        told = self.command("lifecycle", "history", "--config", self.folder / "lifecycle.json")
        return [entry["event"] for entry in told["entries"]]

    def named(self) -> str:
        return channel.current(
            FolderStore(self.folder / "store"), "assistant", "stable", self.folder / "key.pub"
        )


@pytest.fixture
def place(tmp_path: Path, tiny_foundation: Path) -> Place:
    return Place(tmp_path, tiny_foundation)


def test_what_people_ask_changes_and_a_release_for_that_is_served_soon_without_a_failed_request(
    place: Place,
) -> None:
    first = place.release()
    with place.running():
        until(lambda: len(place.windows(first)) > 8, timeout_s=120)
        assert set(place.windows(first)) == {"nothing"}
        # Now they write about something else, and of that there are new documents.
        place.add(OTHER, 24)
        place.traffic.words = OTHER
        until(lambda: place.named() != first, timeout_s=300)
        second = place.named()
        until(lambda: len(place.windows(second)) > 12, timeout_s=120)
        # The baseline is of the old documents, too: traffic has become a part of it, which is no reason to train.
        assert "retraining" not in place.windows(second), "the signal falls back"
        # Of the next change there are documents that ruin what was learnt: the gate refuses them.
        place._write("gate.json", old_domain_margin=0.0)
        poison = [f"x{number}" for number in range(40)]
        place.add(poison, 24)
        place.traffic.words = poison
        until(lambda: place.events()[-1] == "refused", timeout_s=300)
        assert place.named() == second
        page = place.page()
        time.sleep(1)
    refused = re.search(r"The last training.*The gate: ([^<]*)<", page)
    assert refused, "the page has the curves of the training that was refused"
    assert "old domain" in refused[1]
    assert place.traffic.failed == []
    assert set(place.traffic.answers) == {first, second}
    assert place.events()[:6] == ["asked", "approved", "trained", "tried", "promoted", "settled"]
