"""The official release is unpacked only when it is, byte for byte, the published one."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bootstrap.pulumi.download
import bootstrap.release_asset
from bootstrap import BootstrapError
from bootstrap.pulumi import VERSION
from bootstrap.pulumi.__main__ import find_engine
from bootstrap.pulumi.download import download
from bootstrap.pulumi.installed import intact

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
ARCHIVE = f"pulumi-v{VERSION}-{bootstrap.pulumi.download._platform()}.tar.gz"
CHECKSUMS = f"pulumi-{VERSION}-checksums.txt"


@dataclass
class Mirror:
    """A server of release files; `cut` closes the connection after so many bytes of the archive."""

    files: dict[str, bytes]
    url: str = ""
    cut: int | None = None
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def mirror(tmp_path: Path, programs: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    noise = os.urandom(200_000)  # so that the archive does not shrink to nothing
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path in sorted(programs(tmp_path / "pulumi").iterdir()):
            path.write_bytes(path.read_bytes() + b"exit 0\n" + noise)
            tar.add(path, f"pulumi/{path.name}")
        tar.add(tmp_path / "pulumi" / "pulumi", "../escaped")
    archive = packed.getvalue()
    sums = f"{hashlib.sha256(archive).hexdigest()}  {ARCHIVE}\n{'0' * 64}  another.tar.gz\n"
    served = Mirror(files={f"/{ARCHIVE}": archive, f"/{CHECKSUMS}": sums.encode()})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = served.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            if self.path == f"/{ARCHIVE}":
                served.ranges.append(self.headers.get("Range"))
            begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            cut = served.cut if self.path == f"/{ARCHIVE}" else None
            self.wfile.write(content[begin:][:cut])

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("ENGINE_MIRROR", served.url)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_release_that_fits_its_checksum_is_unpacked_and_runs(
    mirror: Mirror, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find_engine() == cache / "download"
    assert intact(cache / "download")
    assert "matches the published one" in capsys.readouterr().err
    assert not list(cache.parent.rglob("*escaped*")), "only the four programs are taken out"


def test_the_next_run_takes_the_cached_release_without_the_network(mirror: Mirror, cache: Path) -> None:
    download()
    mirror.files.clear()
    assert find_engine("download") == cache / "download"


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_one_flipped_byte_is_refused_and_the_file_thrown_away(
    mirror: Mirror, cache: Path, place: int
) -> None:
    damaged = bytearray(mirror.files[f"/{ARCHIVE}"])
    damaged[place] ^= 1
    mirror.files[f"/{ARCHIVE}"] = bytes(damaged)
    with pytest.raises(BootstrapError, match=r"SHA-256 is .* published is .* discarded; try again"):
        find_engine("download")
    assert not list(cache.rglob("*.tar.gz*"))
    assert not (cache / "download").exists()


def test_a_connection_that_breaks_off_is_refused_and_the_next_run_goes_on_from_there(
    mirror: Mirror, cache: Path
) -> None:
    mirror.cut = 50_000
    with pytest.raises(BootstrapError, match="connection closed after 50000 of"):
        find_engine("download")
    mirror.cut = None
    assert find_engine("download") == cache / "download"
    assert mirror.ranges == [None, "bytes=50000-"]


def test_a_release_without_a_published_checksum_is_refused(mirror: Mirror) -> None:
    mirror.files[f"/{CHECKSUMS}"] = b"0123  another.tar.gz\n"
    with pytest.raises(BootstrapError, match=f"contains no SHA-256 of {ARCHIVE}"):
        find_engine("download")


def test_a_missing_release_is_one_clear_line(mirror: Mirror) -> None:
    del mirror.files[f"/{ARCHIVE}"]
    with pytest.raises(BootstrapError, match=r"404.*ENGINE_SOURCE=build"):
        find_engine("download")


def test_a_host_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert bootstrap.release_asset._CONNECT_S <= 8
    monkeypatch.setattr(bootstrap.release_asset, "_CONNECT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ENGINE_MIRROR", f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(BootstrapError, match=r"no answer within|timed out"):
            download()
        assert time.monotonic() - begun < 3


def test_a_download_that_is_killed_goes_on_in_the_next_run(mirror: Mirror, cache: Path) -> None:
    """SIGKILL at several moments of the real command; none of them needs a hand afterwards."""
    for delay_s in (0.02, 0.08, 0.15, 0.25):
        process = subprocess.Popen(
            [sys.executable, "-m", "bootstrap.pulumi"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"ENGINE_SOURCE": "download"},
        )
        time.sleep(delay_s)
        process.kill()
        process.wait()
    assert find_engine("download") == cache / "download"
    assert intact(cache / "download")
