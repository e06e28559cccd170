"""One compile step for every Go module of ours: what it is given goes in, and it ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bootstrap import BootstrapError
from bootstrap.go_build import Module, compile_module

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module example\n\ngo 1.24\n\ntool example\n")
    (module / "main.go").write_text(
        'package main\n\nimport _ "embed"\n\n//go:embed text\nvar text string\n\n'
        "var version string\n\nfunc main() { print(version, text) }\n"
    )
    return module


def test_a_program_gets_its_version_and_the_files_that_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(" and a text")
    module = Module(
        folder=folder,
        title="example",
        programs=("another-name",),
        expected="a second",
        linked=("main.version=v7",),
        embedded={"text": tmp_path / "elsewhere"},
    )
    compile_module(module, tmp_path)
    done = subprocess.run([tmp_path / "another-name"], capture_output=True, text=True, check=True)
    assert done.stderr == "v7 and a text"
    assert sorted(path.name for path in folder.iterdir()) == ["go.mod", "main.go"], (
        "the folder stays as it is"
    )


def test_what_does_not_compile_ends_in_the_compilers_words(folder: Path, tmp_path: Path) -> None:
    (folder / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    module = Module(folder=folder, title="example", programs=("example",), expected="a second")
    with pytest.raises(BootstrapError, match=r"building example failed: .*undefined: nonsense"):
        compile_module(module, tmp_path)


def test_a_killed_run_takes_its_compiler_along(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "go").write_text(f"""#!/bin/sh
case "$1" in
  env) echo go1.99.0 ;;
  list) echo example ;;
  build) echo $$ > {tmp_path}/pid; exec sleep 60 ;;
esac
""")
    (fake / "go").chmod(0o755)
    monkeypatch.setenv("PATH", str(fake), prepend=os.pathsep)
    program = (
        "import sys; from pathlib import Path; from bootstrap.go_build import Module, compile_module\n"
        "here = Path(sys.argv[1])\n"
        "compile_module(Module(folder=here, title='x', programs=('x',), expected='long'), here.parent)"
    )
    run = subprocess.Popen([sys.executable, "-c", program, folder], cwd=ROOT, stderr=subprocess.DEVNULL)
    compiler = _number_in(tmp_path / "pid")
    run.send_signal(signal.SIGKILL)
    run.wait()
    for _ in range(100):
        if not _runs(compiler):
            return
        time.sleep(0.05)
    os.kill(compiler, signal.SIGKILL)
    pytest.fail("the compiler outlived the run that started it")


def _number_in(file: Path) -> int:
    for _ in range(200):
        if file.exists() and (text := file.read_text().strip()):
            return int(text)
        time.sleep(0.05)
    raise AssertionError("the compiler was never started")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
