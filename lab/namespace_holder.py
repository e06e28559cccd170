"""The first process of the lab's namespaces: it holds them open, and ending it ends everything in them.

Run as a file, in namespaces that `unshare` made. It does nothing before it has read `go`: by then it is
written down. Where the run that started it was killed before that, it reads the end of its input and goes.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Wait for `go`, answer `ready`, then do what a first process has to: bury the children of others."""
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
