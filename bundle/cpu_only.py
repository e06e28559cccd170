"""Lets PyPI's torch, which is the CUDA build, run on CPUs without NVIDIA's 3 GB of libraries.

Its libraries resolve every symbol at load time, including those never called without a GPU. Small stub
libraries with NVIDIA's names define them, and abort the process if one is called.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NVIDIA = re.compile(r"_?(cu|nccl|nvrtc|nvshmem|nvml|nvtx|nvJitLink)")
_PROGRAM = """
#include <stdlib.h>
#include <unistd.h>
static void lacking(void) {
    static const char what[] = "these packages are for CPUs only: a CUDA library was called\\n";
    if (write(2, what, sizeof what - 1)) abort();
    abort();
}
"""


def left_out(package: str) -> bool:
    """Whether a locked package needs a GPU; runtime and profiler are needed to load torch."""
    kept = {"nvidia-cuda-runtime", "nvidia-cuda-cupti"}
    return package.startswith(("nvidia-", "cuda-", "triton")) and package not in kept


def without_gpu(lock: str) -> str:
    """Return a lock without the packages that need a GPU."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return "".join(block for block in blocks if not left_out(block.partition("==")[0].strip()))


def stand_in(site: Path) -> list[str]:
    """Write stubs of the libraries that torch below `site` is missing, and return their names.

    They go where torch looks for NVIDIA's. Raises BundleError if there is no C compiler.
    """
    libraries = [*site.glob("torch/lib/*.so*"), *site.glob("torch/*.so"), *site.glob("nvidia/**/*.so*")]
    needed, versions = _wanted(libraries)
    # libcuda belongs to the driver: without a driver, torch must not find it.
    needed -= {path.name for path in libraries} | {"libcuda.so.1"}
    missing = {name for name in needed if _NVIDIA.match(name.removeprefix("lib"))}
    asked, defined = _symbols(libraries)
    names = {symbol.partition("@")[0] for symbol in defined}
    lacking: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for symbol in asked - defined:
        name, _, version = symbol.partition("@")
        if versions.get(version) in missing:
            lacking[versions[version]][version].add(name)
        elif not version and name not in names and _NVIDIA.match(name):
            lacking[min(missing)][version].add(name)
    target = next(site.glob("nvidia/**/libcudart.so*")).parent
    for library in missing:
        _compile(target / library, lacking[library])
    return sorted(missing)


def _wanted(libraries: list[Path]) -> tuple[set[str], dict[str, str]]:
    """Return the libraries that these need, and which of them has to define each symbol version."""
    needed: set[str] = set()
    versions: dict[str, str] = {}
    for path in libraries:
        headers = _run(["objdump", "--private-headers", path])
        needed |= set(re.findall(r"^ +NEEDED +(\S+)", headers, re.MULTILINE))
        for library, block in re.findall(r"required from (\S+):\n((?: +0x.*\n)+)", headers):
            versions |= dict.fromkeys(re.findall(r"(\S+)$", block, re.MULTILINE), library)
    return needed, versions


def _symbols(libraries: list[Path]) -> tuple[set[str], set[str]]:
    """Return the symbols that these reference, and those they define; `name@version` if versioned."""
    asked: set[str] = set()
    defined: set[str] = set()
    for path in libraries:
        for line in _run(["nm", "--dynamic", "--with-symbol-versions", path]).splitlines():
            kind, symbol = line.split()[-2:]
            (asked if kind == "U" else defined).add(symbol.replace("@@", "@"))
    return asked, defined


def _compile(target: Path, symbols: Mapping[str, set[str]]) -> None:
    """Compile a library that defines these symbols, by version; unversioned ones have the empty version."""
    each = sorted(set().union(*symbols.values()))
    program = _PROGRAM + "".join(f'void {name}(void) __attribute__((alias("lacking")));\n' for name in each)
    script = "".join(
        f"{version} {{ global: {'; '.join(sorted(names))}; }};\n"
        for version, names in symbols.items()
        if version
    )
    with tempfile.TemporaryDirectory() as aside:
        source, versions = Path(aside) / "stand_in.c", Path(aside) / "versions"
        source.write_text(program, encoding="ascii")
        versions.write_text(script, encoding="ascii")
        options = ["-shared", "-fPIC", "-w", "-fno-builtin", f"-Wl,-soname,{target.name}"]
        if script:
            options.append(f"-Wl,--version-script={versions}")
        _run(["gcc", *options, "-o", target, source])


def _run(command: list[str | Path]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError as error:
        raise BundleError(f"{error.filename} is not on PATH", remedy="make lab-deps") from None
    if done.returncode:
        raise BundleError(f"{command[0]} failed: {' | '.join(done.stderr.splitlines()[-3:])}")
    return done.stdout
