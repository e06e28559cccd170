"""PID 1 of the lab's namespaces: it holds them open, and killing it kills everything in them.

Run as a file, in namespaces created by `unshare`. It waits for `go`, sent once it is recorded. If the run
that started it is killed before that, it reads EOF and exits.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Wait for `go`, answer `ready`, then reap orphaned processes, as PID 1 must."""
    if sys.stdin.readline() != "go\n":
        sys.exit(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    os.write(1, b"ready\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


if __name__ == "__main__":
    main()
