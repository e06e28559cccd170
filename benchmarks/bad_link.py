"""`python -m benchmarks.bad_link`: a release over a bad line, by our catalogue, by `release pull`, and by `oras pull`.

All three over TLS from real servers, one after the other over the same line: its rate, its losses, and its cuts at
the same moments. A program that gives up is started again. Bytes are those that arrived at the site's interface, and
what TCP carried in them, the content that was sent twice included. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.lossy_network import SERVER, Line
from scenario_model.catalogue import identities
from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.catalogue.indexing import index_of
from scenario_model.release.store import FolderStore
from scenario_model.release.verify import verify_release
from scenario_model.serve import credentials
from scenario_model.signing import keys
from scenario_model.signing.signature import sign_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_CATALOGUE, _REGISTRY = 9444, 5000
_REPOSITORY = f"{SERVER}:{_REGISTRY}/models/assistant"
_CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model-deployment-scenarios" / "tests"
)
_STARTS = 100
WAYS = ("catalogue", "pull", "oras")


@dataclass(frozen=True, slots=True)
class Measured:
    """`received`: bytes of files that the program read, if it says so. `content`: of TCP, with what was sent twice."""

    way: str
    size: int
    seconds: float
    cuts: int
    starts: int
    received: int | None
    content: int
    interface: int

    @property
    def ratio(self) -> float:
        """TCP's content to the release's size."""
        return self.content / self.size


@dataclass(frozen=True, slots=True)
class Scene:
    """A release in a catalogue and a registry, and a site that may read both."""

    folder: Path
    release: str
    size: int

    @classmethod
    def made(cls, folder: Path, megabytes: float) -> Scene:
        """Sign a release with weights of so many megabytes, and enrol the site."""
        keys.create_pair(folder / "key.pem", folder / "key.pub")
        draft = folder / "draft" / "assistant"
        draft.mkdir(parents=True)
        description = {"format": 1, "name": "assistant", "evaluation": {"passed": True}}
        (draft / "release.json").write_text(json.dumps(description))
        header = b'{"__metadata__":{}}'
        with (draft / "model.safetensors").open("wb") as stream:
            stream.write(len(header).to_bytes(8, "little") + header)
            for _ in range(round(megabytes * 10)):
                stream.write(secrets.token_bytes(100_000))
        sign_directory(draft, folder / "key.pem")
        release = verify_release(draft, folder / "key.pub")
        store = FolderStore(folder / "store")
        store.upload(release.id, draft)
        index = index_of(release, 1)
        (folder / "index.json").write_bytes(index.encoded())
        shutil.rmtree(draft)
        credentials.ensure(folder / "tls", [SERVER])
        cls._enrol(folder, store)
        return cls(folder, release.id, index.size)

    @staticmethod
    def _enrol(folder: Path, store: FolderStore) -> None:
        for name in ("sites", "here"):
            keys.create_pair(folder / f"{name}.pem", folder / f"{name}.pub")
        issuer, own = keys.load_private(folder / "sites.pem"), keys.load_private(folder / "here.pem")
        (folder / "sites.crt").write_bytes(identities.authority(issuer))
        asked = identities.request("here", own)
        signed = identities.certificate(asked, "here", issuer, (folder / "sites.crt").read_bytes())
        (folder / "here.crt").write_bytes(signed if isinstance(signed, bytes) else signed.encode())
        enrolments = Enrolments(store)
        enrolments.enrol("here", enrolments.invite("here", "first", time.time() + 60), time.time())

    def command(self, way: str, oras: Path, to: Path) -> list[str]:
        """What the site runs to get the release."""
        authority = str(self.folder / "tls" / "ca.pem")
        tag = f"assistant-{self.release.partition(':')[2][:12]}"
        if way == "catalogue":
            return [sys.executable, "-m", "benchmarks.bad_link_site", str(self.folder), str(to)]
        if way == "oras":
            return [str(oras), "pull", "--ca-file", authority, f"{_REPOSITORY}:{tag}", "--output", str(to)]
        own = ["--authority", authority, "--verification-key", str(self.folder / "key.pub"), "--json"]
        return [*_OURS, "release", "pull", f"oci://{_REPOSITORY}:{tag}", "--to", str(to), *own]


_OURS = [sys.executable, "-m", "scenario_model"]


@contextlib.contextmanager
def serving(line: Line, scene: Scene, registry: Path) -> Iterator[None]:
    """Run the catalogue's web server and the registry, with the release in both."""
    tls = [str(scene.folder / "tls" / name) for name in ("server.pem", "server.key")]
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(scene.folder / "registry")}},
        "http": {"addr": f"{SERVER}:{_REGISTRY}", "tls": {"certificate": tls[0], "key": tls[1]}},
    }
    (scene.folder / "registry.json").write_text(json.dumps(config))
    store, own = ["--store", str(scene.folder / "store")], ["--sites-key", str(scene.folder / "sites.pem")]
    listen = ["--host", SERVER, "--port", str(_CATALOGUE), "--certificate", tls[0], "--private-key", tls[1]]
    commands = [
        [*_OURS, "catalogue", "serve", *store, *listen, *own],
        [str(registry), "serve", str(scene.folder / "registry.json")],
    ]
    with contextlib.ExitStack() as stack, (scene.folder / "servers.log").open("wb") as log:
        for each in commands:
            # It asks a collector of traces for none.
            quiet = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
            started = subprocess.Popen([*line.enter("server"), *each], stdout=log, stderr=log, env=quiet)
            stack.callback(started.wait)
            stack.callback(started.terminate)
        authority = ["--authority", str(scene.folder / "tls" / "ca.pem")]
        push = [*_OURS, "release", "push", scene.release, f"oci://{_REPOSITORY}", *store, *authority]
        subprocess.run([*line.enter("server"), *push], check=True, stdout=subprocess.DEVNULL)
        yield


def measure(line: Line, scene: Scene, way: str, oras: Path, *, cuts: int, silence: float) -> Measured:
    """Get the release once; the cuts are spread over the time that it would take without any."""
    to = scene.folder / f"arrived-{way}"
    command = [*line.enter("site"), *scene.command(way, oras, to)]
    done = threading.Event()
    pause = scene.size * 8 / (line.rate_kbit * 1000) / (cuts + 1)
    counted: list[float] = []

    def cut() -> None:
        while len(counted) < cuts and not done.wait(pause):
            line.cut(silence)
            counted.append(time.monotonic())

    before, began = line.carried(), time.monotonic()
    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        starts, told = _until_it_succeeds(command)
    finally:
        done.set()
        cutter.join()
    seconds, carried = time.monotonic() - began, line.carried() - before
    verify_release(to, scene.folder / "key.pub", scene.release)
    shutil.rmtree(to)
    received = None if way == "oras" else int(told["received_bytes"])
    return Measured(
        way, scene.size, round(seconds, 1), len(counted), starts, received, carried.content, carried.bytes
    )


def _until_it_succeeds(command: list[str]) -> tuple[int, dict[str, Any]]:
    for start in range(1, _STARTS):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            return start, json.loads(ended.stdout) if ended.stdout.startswith("{") else {}
        print(f"  start {start}: {(ended.stderr.strip().splitlines() or ['?'])[-1][-200:]}", file=sys.stderr)
        time.sleep(1)
    sys.exit("it never succeeded")


def compare(folder: Path, wanted: argparse.Namespace, registry: Path, oras: Path) -> list[Measured]:
    """Measure each way over a line of its own."""
    scene, found = Scene.made(folder, wanted.megabytes), []
    for way in wanted.ways:
        with Line(wanted.kbit, wanted.loss) as line, serving(line, scene, registry):
            found.append(measure(line, scene, way, oras, cuts=wanted.cuts, silence=wanted.silence))
    return found


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bad_link", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=270)
    parser.add_argument("--kbit", type=int, default=1000, help="the line's rate toward the site")
    parser.add_argument("--loss", type=float, default=5, help="percent of the packets, each way")
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--silence", type=float, default=3, help="seconds that a cut lasts")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--registry", type=Path, default=_CACHE / "registry-3.1.2" / "registry")
    parser.add_argument("--oras", type=Path, default=_CACHE / "oras-1.3.6" / "oras")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    return parser.parse_args(words)


def main() -> None:
    wanted = arguments()
    if missing := [str(each) for each in (wanted.registry, wanted.oras) if not each.is_file()]:
        sys.exit(f"{', '.join(missing)}: missing; `make test TESTS=tests/model/release/oci` builds it")
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), wanted, wanted.registry, wanted.oras)
    for each in found:
        print(
            f"{each.way:10} {each.seconds:7.1f} s  {each.cuts} cuts  {each.starts} starts  "
            f"files {each.received or 0:,}  TCP {each.content:,} ({each.ratio:.4f})  "
            f"interface {each.interface:,} ({each.interface / each.size:.4f})"
        )
    if wanted.json:
        wanted.json.write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")


if __name__ == "__main__":
    main()
