"""Checkpoint copies in the bucket: uploaded as they are written, downloaded by a host that has none.

Files first, then a signed `complete.json` with their digests. Only signed and complete copies are used.
Copying runs in parallel to training; the next checkpoint waits for it.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from scenario_model import atomic_io, logs
from scenario_model.digests import file_digest
from scenario_model.errors import Refused, TemporaryError
from scenario_model.job.signed_json import sign_json, verify_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scenario_model.cloud.bucket import Bucket
    from scenario_model.signing.keys import SigningKey

_MARKER = "complete.json"
_MOST_BYTES = 4 * 2**20
_KEPT = 2
_STEP = re.compile(r"step-\d{8}")
_FILE = re.compile(r"rank-\d{1,6}\.safetensors")


class BucketCheckpoints:
    """Copies of one run's checkpoints, below `bucket`; see `Copies`. `place`: the key that its signatures cover."""

    def __init__(self, bucket: Bucket, key: SigningKey, place: str) -> None:
        self._bucket, self._key, self._place = bucket, key, place
        self._pool = ThreadPoolExecutor(1)
        self._copying: Future[None] | None = None

    def bring(self, folder: Path, record: Callable[[dict[str, Any]], None]) -> None:
        """Download the newest valid copy to `folder`, unless a checkpoint at least as new is there.

        `record` gets the run's arithmetic settings (run.json's environment) before the copy appears: a host
        that would choose others has to continue with these.
        """
        self._bucket.abandon_uploads()  # left by an earlier attempt that was killed while copying
        here = max((path.name for path in folder.glob("step-*")), default="")
        steps = {key.split("/")[0] for key in self._bucket.sizes() if key.endswith(f"/{_MARKER}")}
        for step in sorted((step for step in steps if _STEP.fullmatch(step) and step > here), reverse=True):
            try:
                self._bring_one(step, folder, record)
            except Refused as refusal:
                logs.say(f"skipped: {refusal}")
            else:
                return

    def keep(self, checkpoint: Path) -> None:
        """Copy the folder `checkpoint` in the background, after the previous one.

        A network failure does not stop training: it is logged, and the next checkpoint is copied.
        """
        self.settle()
        self._copying = self._pool.submit(self._keep, checkpoint)

    def settle(self) -> None:
        """Wait until all copies are in the bucket. Raises InputError on a permanent failure."""
        copying, self._copying = self._copying, None
        if copying is None:
            return
        error = copying.exception()
        if isinstance(error, TemporaryError):
            logs.say(f"checkpoint not copied: {error}")
        elif error is not None:
            raise error

    def clear(self) -> None:
        """Remove all copies, and what is kept beside them: the run is over."""
        self._bucket.delete("")

    def _keep(self, checkpoint: Path) -> None:
        step = checkpoint.name
        marker = json.loads((checkpoint / _MARKER).read_text(encoding="utf-8"))
        run = json.loads((checkpoint.parents[1] / "run.json").read_text(encoding="utf-8"))
        for name in marker["files"]:
            self._bucket.replace(f"{step}/{name}", checkpoint / name)
        marker["environment"] = run["environment"]
        self._bucket.put(f"{step}/{_MARKER}", sign_json(self._key, f"{self._place}/{step}", marker))
        steps = sorted({key.split("/")[0] for key in self._bucket.sizes()}, reverse=True)
        for old in [each for each in steps if _STEP.fullmatch(each) and each < step][_KEPT - 1 :]:
            self._bucket.delete(old)

    def _bring_one(self, step: str, folder: Path, record: Callable[[dict[str, Any]], None]) -> None:
        where = f"{self._bucket.uri}/{step}/{_MARKER}"
        sealed = self._bucket.read(f"{step}/{_MARKER}", _MOST_BYTES)
        if sealed is None:
            raise Refused("vanished", where=where)
        marker = verify_json(self._key.public_key(), f"{self._place}/{step}", sealed, where)
        environment = marker.pop("environment")
        files: dict[str, Any] = marker["files"]
        there = self._bucket.sizes(step)
        with atomic_io.disk_errors(folder):
            aside = atomic_io.fresh(folder / ".bringing")
            for name, digest in files.items():
                if not _FILE.fullmatch(name) or name not in there:
                    raise Refused("is missing", where=f"{self._bucket.uri}/{step}/{name}")
                self._bucket.download(f"{step}/{name}", aside / name)
                if file_digest(aside / name) != digest:
                    raise Refused(
                        "differs from the file that was saved", where=f"{self._bucket.uri}/{step}/{name}"
                    )
            atomic_io.write_json(aside / _MARKER, marker)
            record(environment)
            atomic_io.publish(aside, folder / step)
