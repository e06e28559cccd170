"""A job's records in the bucket, at `runs/<digest>/`: arithmetic, result, outcome. All signed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from scenario_model.config import dump
from scenario_model.digests import json_digest
from scenario_model.errors import Refused
from scenario_model.job.signed_json import sign_json, verify_json

if TYPE_CHECKING:
    from scenario_model.cloud.bucket import Bucket
    from scenario_model.job.settings import JobSettings
    from scenario_model.signing.keys import SigningKey

_MOST_BYTES = 4 * 2**20


def job_digest(run: str, settings: JobSettings) -> str:
    """A job's digest, `sha256:<64 hex>`: of the training `run`, and of how it is released."""
    return json_digest(
        {
            "run": run,
            "gate": dump(settings.gate),
            "release": dump(settings.release),
        }
    )


class Record:
    """The records of one job. Each object is written once: later writers use the existing one."""

    def __init__(self, bucket: Bucket, digest: str, key: SigningKey) -> None:
        self.place = f"runs/{digest.removeprefix('sha256:')}"
        self._bucket, self._key = bucket, key

    def read(self, name: str) -> dict[str, Any] | None:
        """The object `name`.json; None if there is none. Raises Refused if this job's key did not sign it."""
        key = f"{self.place}/{name}.json"
        sealed = self._bucket.read(key, _MOST_BYTES)
        if sealed is None:
            return None
        return verify_json(self._key.public_key(), key, sealed, f"{self._bucket.uri}/{key}")

    def write(self, name: str, content: dict[str, Any]) -> dict[str, Any]:
        """Write the object `name`.json if it is absent; returns the stored one."""
        key = f"{self.place}/{name}.json"
        # As it will be read: in JSON types.
        content = json.loads(json.dumps(content))
        if self._bucket.create(key, sign_json(self._key, key, content)):
            return content
        there = self.read(name)
        if there is None:
            raise Refused("disappeared while it was being written", where=f"{self._bucket.uri}/{key}")
        return there
