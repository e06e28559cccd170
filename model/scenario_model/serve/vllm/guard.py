"""The process between the server and vLLM, which ensures that vLLM never outlives the server.

    python guard.py FOLDER PROGRAM ARGUMENTS…        in its own process group

Standard input is a pipe whose other end the server holds. When the server is gone for any reason, the pipe
closes; the program then gets SIGTERM, and after a moment it and all processes it started are killed. The same
happens when the program exits by itself. PR_SET_PDEATHSIG would reach only the program, not its workers, and
fire at the end of the thread that started it. FOLDER is removed.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys

# Time for vLLM to remove its shared memory; all answers have ended before.
GRACE_SECONDS = 3.0


def _guard(folder: str, command: list[str]) -> None:
    # The server decides when to stop. A handler, unlike SIG_IGN, is not inherited by the program.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603
    ended = os.pidfd_open(child.pid)
    select.select([sys.stdin.fileno(), ended], [], [])
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGTERM)
    select.select([ended], [], [], GRACE_SECONDS)
    status = child.poll()
    with contextlib.suppress(OSError):  # the reader is gone with the server
        print("vLLM is killed" if status is None else f"vLLM ended with exit status {status}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if os.getpgrp() != os.getpid():
        sys.exit("guard.py kills its process group at the end, so it needs its own")
    try:
        _guard(sys.argv[1], sys.argv[2:])
    finally:
        os.killpg(0, signal.SIGKILL)
