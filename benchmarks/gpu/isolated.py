"""One part in a process group of its own: neither a crash of CUDA nor a hang reaches the others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.context import ROOT, Context, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.gpu.parts import Part

_BEAT_S = 10.0


def run_part(part: Part, context: Context, say: Callable[[str], None]) -> dict[str, Any]:
    """Run a part until its end or the context's deadline; `say` gets a line now and then.

    Returns `status` (`done`, `failed` or `timed out`), `seconds`, `limit_s`, `reason` (one line, unless
    done) and `result`: all of it, or what the part had noted until then. Its standard error stays in
    `<part>.log` beside the results.
    """
    begun, limit = time.monotonic(), context.remaining()
    log = context.out / f"{part.name}.log"
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            _command(part, context),
            cwd=ROOT,
            env=_environment(context),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
        try:
            in_time = _wait(process, context, say)
        finally:
            _kill_group(process)
    status, reason = _verdict(process.returncode, in_time, limit, log.read_text(errors="replace"))
    if not log.stat().st_size:
        log.unlink()
    return {
        "status": status,
        "seconds": round(time.monotonic() - begun, 1),
        "limit_s": round(limit, 1),
        "reason": reason,
        "result": _noted(context),
    }


def _command(part: Part, context: Context) -> list[str]:
    return [
        *(sys.executable, "-m", "benchmarks.gpu.child", part.module),
        *("--part", part.name),
        *("--device", context.device, "--out", str(context.out)),
        *("--scratch", str(context.scratch), "--deadline", str(context.deadline)),
    ]


def _environment(context: Context) -> dict[str, str]:
    paths = [str(ROOT), str(ROOT / "model"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TORCHINDUCTOR_CACHE_DIR": str(context.scratch / "inductor"),
        "TRITON_CACHE_DIR": str(context.scratch / "triton"),
    }
    if not context.gpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
        environment.setdefault("OMP_WAIT_POLICY", "passive")  # processors may be shared
    return environment


def _wait(process: subprocess.Popen[bytes], context: Context, say: Callable[[str], None]) -> bool:
    """Wait for the end; False if the deadline came first."""
    while (left := context.remaining()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(left, _BEAT_S))
            return True
        if (left := context.remaining()) > 0:
            say(f"{context.part}: running, at most {left:.0f} s more")
    return False


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever the part has left running, and the part itself."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _verdict(code: int, in_time: bool, limit: float, log: str) -> tuple[str, str | None]:
    if not in_time:
        return "timed out", f"still running after its limit of {limit:.0f} s"
    if code == 0:
        return "done", None
    last = first_line((log.strip().splitlines() or ["no message"])[-1])
    return "failed", last if code > 0 else f"ended by {signal.Signals(-code).name}; last line: {last}"


def _noted(context: Context) -> dict[str, Any] | None:
    try:
        result: dict[str, Any] = json.loads(context.noted.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return result
