"""A real registry with what it keeps in a folder, the other client, and a link between that breaks."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from click.testing import CliRunner

from bootstrap import BootstrapError
from bootstrap.cache import exclusive
from bootstrap.go_build import Module, compile_module
from scenario_model.release import command
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.signing.signature import sign_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.model.release.conftest import KeyPair

GO = Path(__file__).parents[3] / "go"
MODULES = {"registry": "github.com/distribution/distribution/v3", "oras": "oras.land/oras"}
VERSIONS = {"registry": "3.1.2", "oras": "1.3.6"}
PLAIN = "--plain-http"
_EXPECTED = {"registry": "half a minute", "oras": "a minute"}


def program(cache: Path, name: str) -> Path:
    """A program, built once from the Go modules that go.sum pins."""
    built = cache / f"{name}-{VERSIONS[name]}" / name
    with exclusive(cache / f"{name}.lock", f"building {name}"):
        if not built.exists():
            aside = built.with_name("unfinished")
            aside.mkdir(parents=True, exist_ok=True)
            title = f"{name} {VERSIONS[name]}"
            module = Module(folder=GO / name, title=title, programs=(name,), expected=_EXPECTED[name])
            try:
                compile_module(module, aside)
            except BootstrapError as error:
                pytest.skip(f"needs Go, or a Go module proxy in GOPROXY: {error}")
            (aside / name).rename(built)
    return built


@dataclass(frozen=True)
class RunningRegistry:
    """`host` is its address. What it answers is in its log."""

    host: str
    folder: Path

    @property
    def requests(self) -> list[str]:
        """`METHOD path` of all requests that were answered."""
        lines = (self.folder / "log").read_text().splitlines()
        read = [json.loads(line) for line in lines if "http.response.status" in line]
        return [f"{each['http.request.method']} {each['http.request.uri']}" for each in read]

    def blob(self, digest: str) -> Path:
        """The file that has a blob's content."""
        name = digest.removeprefix("sha256:")
        return (
            self.folder
            / "kept"
            / "docker"
            / "registry"
            / "v2"
            / "blobs"
            / "sha256"
            / name[:2]
            / name
            / "data"
        )


@contextlib.contextmanager
def registry(built: Path, folder: Path, **settings: Mapping[str, Any]) -> Iterator[RunningRegistry]:
    """Run a registry on loopback; `settings` are more parts of its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "kept")}, "delete": {"enabled": True}},
        **settings,
        "http": {"addr": host, "secret": "x", **settings.get("http", {})},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "log").open("w") as log:
        # It asks a collector of traces for none.
        quiet = {"OTEL_TRACES_EXPORTER": "none", "PATH": os.environ["PATH"]}
        process = subprocess.Popen([built, "serve", folder / "config.yml"], stdout=log, stderr=log, env=quiet)
    try:
        _wait_for(host, process, folder / "log")
        yield RunningRegistry(host, folder)
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    name, _, port = host.partition(":")
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((name, int(port)), 1):
            return
        assert process.poll() is None, log.read_text()
        threading.Event().wait(0.05)  # tests that note pauses replace time.sleep
    pytest.fail(f"the registry does not answer: {log.read_text()}")


@dataclass
class BreakingLink:
    """Forwards connections to a host, and breaks one whenever it carried so many bytes of answers."""

    to: str
    after: int
    breaks: int
    carried: int = 0
    _server: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                name, _, port = self.to.partition(":")
                far = socket.create_connection((name, int(port)))
                threading.Thread(target=self._forward, args=(near, far), daemon=True).start()
                threading.Thread(target=self._return, args=(far, near), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)

    def _return(self, source: socket.socket, target: socket.socket) -> None:
        carried = 0
        with contextlib.suppress(OSError), source, target:
            while piece := source.recv(65536):
                target.sendall(piece)
                carried += len(piece)
                self.carried += len(piece)
                if self.breaks and carried >= self.after:
                    self.breaks -= 1
                    target.shutdown(socket.SHUT_RDWR)
                    return


def docker_config(folder: Path, **content: Any) -> None:
    """Write Docker's configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))


def helper(folder: Path, name: str, script: str) -> None:
    """Write a credential helper, a real program."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!{shutil.which('sh')}\n{script}")
    path.chmod(0o755)


def run(*words: object) -> dict[str, Any]:
    """What a command of `scenario-model release` prints, as JSON; a user error is raised."""
    done = CliRunner().invoke(command.command, [*map(str, words), "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def repository(running: RunningRegistry) -> str:
    """A repository that no other test uses."""
    return f"oci://{running.host}/models/{secrets.token_hex(4)}"


def pushed(running: RunningRegistry, released: tuple[Path, str]) -> str:
    """The reference of the release in a repository of its own."""
    store, name = released
    reference = run("push", name, repository(running), "--store", store, PLAIN)["reference"]
    assert isinstance(reference, str)
    return reference


def large(folder: Path, key_pair: KeyPair, size: int) -> str:
    """A release with weights of some size in the store `folder`; its name."""
    draft = folder / "draft" / "assistant"
    draft.mkdir(parents=True)
    (draft / "release.json").write_text(json.dumps({"format": 1, "name": "assistant"}))
    header = b'{"__metadata__":{}}'
    (draft / "model.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + secrets.token_bytes(size)
    )
    sign_directory(draft, key_pair.private)
    name = verify_release(draft, key_pair.public).id
    FolderStore(folder / "store").upload(name, draft)
    return name
