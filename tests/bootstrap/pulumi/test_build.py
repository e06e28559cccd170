"""The engine from Go modules: pinned, verified, and finished by the next run when it was killed."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from bootstrap import BootstrapError
from bootstrap.go_build import go_environment
from bootstrap.go_toolchain import go_command
from bootstrap.pulumi import VERSION
from bootstrap.pulumi.__main__ import find_engine
from bootstrap.pulumi.installed import intact

ROOT = Path(__file__).parents[3]
GO = ROOT / "bootstrap" / "pulumi" / "go"


def a_go_that_says(version: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "go").write_text(f"#!/bin/sh\necho {version}\n")
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_go_and_without_a_module_proxy_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GOPROXY", "off")
    with pytest.raises(
        BootstrapError,
        match=r"no Go .* names no proxy; install Go 1\.25\.11 or newer .* or the program itself",
    ):
        find_engine("build")


@pytest.mark.parametrize("version", ["go1.19.8", "go1.25.10", "go1.25rc1"])
def test_a_go_that_is_too_old_is_named_with_the_one_that_is_needed(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GOPROXY", "direct")
    a_go_that_says(version, tmp_path / "bin", monkeypatch)
    with pytest.raises(BootstrapError, match="no Go available"):
        find_engine("build")
    assert f"is {version}, too old; 1.25.11 is required" in capsys.readouterr().err


def test_a_go_from_a_proxy_that_is_not_the_official_one_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """A proxy that hands out another program under Go's name: refused before anything is unpacked."""
    with zipfile.ZipFile(tmp_path / "go.zip", "w") as archive:
        archive.writestr("golang.org/toolchain@v0.0.1/bin/go", "#!/bin/sh\necho go1.26.8\n")
    for content in ((tmp_path / "go.zip").read_bytes(), b"no archive at all"):

        class Handler(http.server.BaseHTTPRequestHandler):
            served = content

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(self.served)))
                self.end_headers()
                self.wfile.write(self.served)

            def log_message(self, *_: object) -> None: ...

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            monkeypatch.setenv("PATH", str(tmp_path))
            monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:{server.server_port},direct")
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            with pytest.raises(BootstrapError, match="does not match the checksum database; discarded"):
                find_engine("build")
            thread.join()
        assert not list(cache.parent.rglob("*.zip*"))
        assert not list(cache.parent.rglob("bin/go"))


@pytest.mark.slow
def test_without_go_the_official_one_is_fetched_and_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The proxy that the Go at hand uses, from its own settings; without Go at hand, the one that is set here.
    if settings := shutil.which("go"):
        asked = subprocess.run([settings, "env", "GOPROXY"], capture_output=True, text=True, check=True)
        monkeypatch.setenv("GOPROXY", asked.stdout.strip())
    if "://" not in os.environ.get("GOPROXY", ""):
        pytest.skip("no Go module proxy is set: set GOPROXY to one")
    monkeypatch.setenv("PATH", str(tmp_path))
    go = go_command(GO / "cli")
    version = subprocess.run(
        [go, "version"], capture_output=True, text=True, check=True, env=go_environment(go)
    ).stdout
    assert version.startswith("go version go1.26.8 linux/")
    (tmp_path / "main.go").write_text(
        'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("built") }\n'
    )
    environment = go_environment(go) | {"GOCACHE": str(tmp_path / "go-build")}
    built = subprocess.run(
        [go, "run", "main.go"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert built.stdout == "built\n"
    monkeypatch.setenv("GOPROXY", "off")
    assert go_command(GO / "cli") == go, "the next run finds it"


def test_checksums_are_verified_whatever_the_users_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GOFLAGS": "-mod=mod -insecure",
        "GONOSUMDB": "*",
        "GOSUMDB": "off",
        "GOINSECURE": "*",
    }.items():
        monkeypatch.setenv(name, value)
    environment = go_environment(Path("/usr/local/go/bin/go"))
    assert environment["GOFLAGS"] == "-mod=readonly -trimpath -buildvcs=false"
    assert environment["GOTOOLCHAIN"] == "local", "no other Go is fetched behind the user's back"
    assert environment["PATH"].startswith("/usr/local/go/bin:")
    assert not {"GONOSUMDB", "GOINSECURE", "GONOSUMCHECK"} & set(environment)
    assert environment.get("GOSUMDB") != "off"


def test_the_modules_are_pinned_at_the_version_that_is_announced() -> None:
    cli = (GO / "cli" / "go.mod").read_text()
    assert re.search(rf"github\.com/pulumi/pulumi/pkg/v3 v{re.escape(VERSION)}\b", cli)
    assert re.search(rf"github\.com/pulumi/pulumi/sdk/v3 v{re.escape(VERSION)}\b", cli)
    for module in ("cli", "host"):
        required = re.findall(r"^\t(\S+) (v\S+)", (GO / module / "go.mod").read_text(), re.MULTILINE)
        sums = (GO / module / "go.sum").read_text()
        missing = [name for name, version in required if f"{name} {version}/go.mod h1:" not in sums]
        assert required
        assert not missing


def test_a_module_that_is_not_the_pinned_one_stops_the_build(tmp_path: Path) -> None:
    """A sum in go.sum that does not fit is refused by Go under the environment that we build in."""
    go = go_command(GO / "cli")
    module = shutil.copytree(GO / "host", tmp_path / "host")
    sums = (module / "go.sum").read_text()
    right = re.search(r"github\.com/pulumi/pulumi/sdk/v3 v3\.78\.1 h1:(\S+)", sums)
    assert right
    (module / "go.sum").write_text(sums.replace(right[1], "A" * 43 + "="))
    done = subprocess.run(
        [
            go,
            "build",
            "-o",
            str(tmp_path / "host.bin"),
            "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
        ],
        cwd=module,
        env=go_environment(go),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "checksum mismatch" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_build_that_is_killed_goes_on_in_the_next_run(cache: Path) -> None:
    command = [sys.executable, "-m", "bootstrap.pulumi"]
    environment = os.environ | {"ENGINE_SOURCE": "build"}
    for delay_s in (0.5, 5.0):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(delay_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (cache / "build").exists()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(cache / "build")
    assert intact(cache / "build")
    assert sorted(path.name for path in cache.iterdir()) == ["build"]
    assert "(build)" in done.stderr
