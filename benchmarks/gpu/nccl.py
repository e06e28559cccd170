"""Part `nccl`: the role's own all-reduce with a world of one, NCCL on a GPU and gloo on a CPU.

It shows that the library loads, makes a communicator and returns the right sum; a bandwidth needs more than
one GPU. What NCCL logs of its start is recorded.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.context import figure, first_line
from benchmarks.gpu.role_commands import VALIDATION

if TYPE_CHECKING:
    from benchmarks.gpu.context import Context

_MEBIBYTES = {"cuda": 256, "cpu": 16}


def run(context: Context) -> dict[str, Any]:
    """Start the script as torchrun would start its only process."""
    context.torch_device()
    size, begun = _MEBIBYTES[context.device], time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(VALIDATION / "files" / "all_reduce.py"), f"--mebibytes={size}"],
        env=os.environ | _alone() | {"NCCL_DEBUG": "INFO"},
        capture_output=True,
        text=True,
        timeout=max(1.0, context.remaining()),
        check=False,
    )
    seconds = round(time.perf_counter() - begun, 1)
    answers = [line for line in done.stdout.splitlines() if line.startswith('{"world"')]
    context.record("nccl.txt", "".join(f"{line}\n" for line in _log(done) if line not in answers))
    if done.returncode or not answers:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"all_reduce.py ended with {done.returncode}: {first_line(last)}")
    answer = json.loads(answers[-1])
    library = f"NCCL {_nccl_version()}" if context.gpu else "gloo"
    value = "right" if answer["right"] else "wrong"
    return {
        "library": library,
        "mebibytes": size,
        "seconds": seconds,
        **answer,
        "figures": [
            figure(f"{library}, sum of one process, {size} MiB", value, aim="right", met=answer["right"])
        ],
    }


def _alone() -> dict[str, str]:
    """Torchrun's variables for one process, with a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rank = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    return rank | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def _log(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines of NCCL, without addresses, and without the host's name and process number that begin them."""
    lines = re.sub(r"\d+\.\d+\.\d+\.\d+", "192.0.2.1", done.stdout + done.stderr).splitlines()
    return [line[line.find("NCCL ") :] if "NCCL " in line else line for line in lines]


def _nccl_version() -> str:
    from torch.cuda import nccl

    return ".".join(map(str, nccl.version()))  # type: ignore[no-untyped-call]
