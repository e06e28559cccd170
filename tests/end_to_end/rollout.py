"""Releases made by hand, offered, and what clients see while one takes the place of another."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import subprocess
import threading
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import httpx

from scenario_model.digests import tree_digest
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory
from tests.end_to_end.site import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.end_to_end.conftest import Clone


@dataclass
class Load:
    """Asks again and again, as clients do, until it is told to stop; keeps what was not answered.

    `trusting`: whatever authority signed the endpoint's certificate, as clients that know old and new ones.
    `prompt`: what is asked next; each request is a session of its own. `pause`: often enough that a gap of a second
    shows, and little beside what it watches. `endpoint`: another one than the first.
    """

    clone: Clone
    trusting: bool = False
    prompt: Callable[[], str] = lambda: "One, two,"
    pause: float = 0.4
    endpoint: str = ""
    last: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    """The releases of the last answers."""
    releases: set[str] = field(default_factory=set)
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with client(self.clone, verify=not self.trusting, endpoint=self.endpoint) as http:
            while not self._over.wait(self.pause):
                body = {"model": "assistant", "prompt": self.prompt(), "max_tokens": 4, "ignore_eos": True}
                try:
                    answer = http.post(
                        "/v1/completions", json=body, headers={"X-Session-Id": uuid.uuid4().hex}
                    )
                    answer.raise_for_status()
                    self.answered += 1
                    self.releases.add(answer.headers["x-release"])
                    self.last.append(answer.headers["x-release"])
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))


@dataclass
class Spilling:
    """More clients at once than the site has slots; their requests may leave. Keeps where each was answered."""

    clone: Clone
    places: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask) for _ in range(24)]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def _ask(self) -> None:
        body = {"model": "assistant", "prompt": "One, two,", "max_tokens": 64, "ignore_eos": True}
        with client(self.clone) as http:
            while not self._over.is_set():
                began = time.monotonic()
                try:
                    answer = http.post("/v1/completions", json=body, headers={"X-Data-Class": "may-leave"})
                    answer.raise_for_status()
                    self.places[answer.headers["x-computed-at"]] += 1
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                self.slowest = max(self.slowest, time.monotonic() - began)


def signed(folder: Path, model: Path, *, broken: bool = False) -> dict[str, str]:
    """Sign a release of a model with a key of its own; return it as a setting."""
    draft = folder / "assistant"
    subprocess.run(["cp", "-r", model, draft], check=True)
    if broken:
        (draft / "config.json").write_text('{"model_type": "llama", "hidden_size": 7}')
    evaluation = {"passed": True, "reasons": []}
    (draft / "release.json").write_text(
        json.dumps({"format": 1, "name": "assistant", "evaluation": evaluation, "note": folder.name})
    )
    digest = tree_digest(draft)
    keys.create_pair(folder / "signing.pem", folder / "verification.pem")
    sign_directory(draft, folder / "signing.pem")
    key = str(folder / "verification.pem")
    return {"kind": "file", "path": str(draft), "id": f"assistant@{digest}", "verification_key": key}


def signed_by_one_key(folder: Path, model: Path, count: int) -> list[dict[str, str]]:
    """Releases of a model that one key signed, as settings; the pair is beside the first."""
    folders = [folder / f"release-{number}" for number in range(count)]
    made: list[dict[str, str]] = []
    for each in folders:
        each.mkdir()
        if made:
            for name in ("signing.pem", "verification.pem"):
                shutil.copy(folders[0] / name, each / name)
        made.append(signed(each, model))
    return made


@contextlib.contextmanager
def offered(release: Path) -> Iterator[str]:
    """Offer a release on the control node's loopback as an archive; gives its address."""
    archive = release.with_suffix(".tar")
    subprocess.run(["tar", "--create", "--file", archive, "--directory", release, "."], check=True)
    files = functools.partial(SimpleHTTPRequestHandler, directory=archive.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{archive.name}"
        finally:
            server.shutdown()
            thread.join()
