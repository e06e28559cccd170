"""The model package's image: the Containerfile's word counts, and torch loads without NVIDIA's libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bundle.cpu_only import stand_in, without_gpu
from lab.images.containerfile import config_of
from lab.images.model import _CONTAINERFILE, _LOCK, _PLACE, ModelImage

if TYPE_CHECKING:
    from pathlib import Path


def test_what_a_container_starts_with_is_the_containerfiles_word() -> None:
    config = config_of(_CONTAINERFILE, {"kind": "test"})
    assert config.entrypoint == ["python3", "-m", "scenario_model"]
    assert re.fullmatch(r"[1-9]\d+:\d+", config.user), "a number that is not root"
    assert config.environment["PYTHONPATH"] == f"/{_PLACE}"
    assert config.environment["HF_HUB_OFFLINE"] == "1"
    assert config.labels == {"kind": "test"}


def test_only_the_last_stage_counts_and_lines_may_go_on(tmp_path: Path) -> None:
    file = tmp_path / "Containerfile"
    file.write_text(
        'FROM a AS one\nENV A=1\nUSER root\nENTRYPOINT ["one"]\n'
        'FROM b\n# USER 5\nENV B="two words" \\\n  C=3\nENTRYPOINT ["two", "x"]\n'
    )
    config = config_of(file, {})
    assert config.environment == {"B": "two words", "C": "3"}
    assert (config.user, config.entrypoint) == ("", ["two", "x"])


def test_the_cpu_image_has_every_locked_package_but_those_of_gpus() -> None:
    lock = _LOCK.read_text()
    kept = without_gpu(lock)
    names = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    left = set(re.findall(r"^([\w.-]+)==", kept, re.MULTILINE))
    assert {"torch", "transformers", "nvidia-cuda-runtime", "nvidia-cuda-cupti"} <= left
    assert {"nvidia-cudnn-cu13", "triton", "cuda-toolkit"} <= names - left
    assert all(name.startswith(("nvidia-", "cuda-", "triton")) for name in names - left)
    assert kept.count("--hash=") > len(left)


def test_another_package_lock_or_containerfile_makes_another_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ModelImage().digest("model")
    assert ModelImage().digest("model") == before
    changed = _CONTAINERFILE.with_name("pyproject.toml")
    monkeypatch.setattr("lab.images.model._CONTAINERFILE", changed)
    assert ModelImage().digest("model") != before


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A torch of two lines, built against libraries of NVIDIA's that are then taken away."""
    site = tmp_path / "site"
    torch, nvidia = site / "torch" / "lib", site / "nvidia" / "cu13" / "lib"
    for folder in (torch, nvidia):
        folder.mkdir(parents=True)
    for name, content, script in (
        ("libcudart.so.13", "int cudaInit(void) { return 3; }", ""),
        ("libcudnn.so.9", "int cudnnCreate(void) { return 1; }", "CUDNN { global: cudnnCreate; };"),
        ("libnccl.so.2", "int ncclSend(void) { return 2; }", ""),
    ):
        compile_library(nvidia / name, content, script)
    compile_library(
        torch / "libtorch.so",
        "int cudaInit(void), cudnnCreate(void), ncclSend(void);\n"
        "int on_cpu(void) { return cudaInit(); }\nint on_gpu(void) { return cudnnCreate() + ncclSend(); }",
        "",
        f"-Wl,-rpath,{nvidia}",
        *(str(nvidia / name) for name in ("libcudart.so.13", "libcudnn.so.9", "libnccl.so.2")),
    )
    for name in ("libcudnn.so.9", "libnccl.so.2"):
        (nvidia / name).unlink()
    return site


def compile_library(target: Path, content: str, script: str, *more: str) -> None:
    source, versions = target.with_suffix(".c"), target.with_suffix(".versions")
    source.write_text(content)
    versions.write_text(script)
    flags = [f"-Wl,--version-script={versions}"] if script else []
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        f"-Wl,-soname,{target.name}",
        *flags,
        "-o",
        str(target),
        str(source),
        *more,
    ]
    subprocess.run(command, check=True)
    source.unlink()
    versions.unlink()


def test_torch_loads_without_nvidias_libraries_and_only_a_call_to_them_ends_it(site: Path) -> None:
    call = "import ctypes, sys; print(getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])(), flush=True)"
    library = site / "torch" / "lib" / "libtorch.so"

    def ask(function: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", call, library, function], capture_output=True, text=True)

    assert "cannot open shared object file" in ask("on_cpu").stderr
    assert stand_in(site) == ["libcudnn.so.9", "libnccl.so.2"]
    assert (ask("on_cpu").stdout, ask("on_cpu").stderr) == ("3\n", "")
    called = ask("on_gpu")
    assert called.returncode < 0
    assert called.stderr == "these packages are for CPUs only: a CUDA library was called\n"
