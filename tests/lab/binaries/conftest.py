"""A group of programs of our own: a Go module of three lines, and a server of its release."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import tarfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.binaries import build as builder
from lab.binaries.groups import GROUPS, Group, Release

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE = "hello-1.2.3.tgz"
RELEASED = b"#!/bin/sh\necho the release\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the lab; Go's own stays the user's."""
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GOCACHE", os.environ.get("GOCACHE", str(users / "go-build")))
    monkeypatch.delenv("LAB_SOURCE", raising=False)
    return tmp_path / "cache" / "model-deployment-scenarios" / "lab" / "binaries"


@pytest.fixture
def hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    """The group `hello`, which says its version when it was built, and is published nowhere."""
    module = tmp_path / "go" / "hello"
    module.mkdir(parents=True)
    (module / "go.mod").write_text("module lab/hello\n\ngo 1.24\n\ntool lab/hello\n")
    (module / "main.go").write_text("package main\n\nvar version string\n\nfunc main() { print(version) }\n")
    monkeypatch.setattr(builder, "MODULES", tmp_path / "go")
    group = Group(version="1.2.3", programs=("hello",), linked=("main.version=built-{version}",))
    monkeypatch.setitem(GROUPS, "hello", group)
    return group


@dataclass
class Site:
    """What the project publishes: file name to content."""

    files: dict[str, bytes]
    url: str = ""


@pytest.fixture
def site(hello: Group, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The release of `hello`, as an archive with a checksum file beside it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("./hello-1.2.3/hello")
        member.size = len(RELEASED)
        tar.addfile(member, io.BytesIO(RELEASED))
    sums = f"{hashlib.sha256(packed.getvalue()).hexdigest()}  release/{ARCHIVE}\n"
    published = Site(files={ARCHIVE: packed.getvalue(), f"{ARCHIVE}.sha256": sums.encode()})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = published.files.get(self.path.removeprefix("/"))
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        published.url = f"http://127.0.0.1:{server.server_port}"
        release = Release(
            base=published.url,
            files=("hello-{version}.tgz",),
            checksums="{file}.sha256",
            members=("hello-{version}/hello",),
        )
        monkeypatch.setitem(GROUPS, "hello", replace(hello, release=release))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield published
        server.shutdown()
        thread.join()
