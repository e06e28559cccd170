"""Run by test_s3_uploads: for each line `NUMBER URI` on standard input a forked child uploads, and ends as
kill -9 would right before its request of that number. Prints each child's exit code."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from scenario_model.cloud import multipart
from scenario_model.release.stores import open_store


def upload(number: int, uri: str, release: str, directory: Path) -> None:
    store = open_store(uri, Path(os.devnull))
    lock, left = threading.Lock(), [number]

    def dying(**_: object) -> None:
        with lock:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1

    store._bucket._client.meta.events.register("before-send.s3", dying)  # type: ignore[attr-defined]
    store.upload(release, directory)


def main() -> None:
    multipart.PART_BYTES = 5 * 2**20
    print("ready", flush=True)
    for line in sys.stdin:
        number, uri = line.split()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                upload(int(number), uri, sys.argv[1], Path(sys.argv[2]))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


main()
