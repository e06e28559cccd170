"""A job with the tiny model, in a bucket of the lab's AWS, in processes that have torch in memory already."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from scenario_model.signing import keys
from tests.model.train.conftest import SMALL, WORDS, Warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.aws.lifecycle import Aws

BUCKET = "scenario-model-job-tests"
# A model that knows nothing gains on any text, and what it loses elsewhere does not matter here.
LENIENT = {"old_domain_margin": 100.0, "confidence": 0.5, "resamples": 100}


def make_bucket() -> None:
    """Make BUCKET, if another test has not, or has emptied the lab's AWS."""
    s3, place = boto3.client("s3"), {"LocationConstraint": "eu-central-1"}
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)


@pytest.fixture(scope="session")
def environment(aws_server: Aws) -> dict[str, str]:
    """What a process needs to speak to the lab's AWS."""
    return {**os.environ, **aws_server.environment, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def warm(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        process = Warm(tmp_path_factory.mktemp("warm") / "log")
    yield process
    process.close()


class Job:
    """The configuration of a job, its store, and what it says."""

    def __init__(self, folder: Path, foundation: Path, warm: Warm) -> None:
        folder.mkdir(parents=True)
        self.folder, self._warm = folder, warm
        self.store = f"s3://{BUCKET}/{folder.parent.name}/{folder.name}"
        self.private, self.public = folder / "signing.pem", folder / "verification.pem"
        keys.create_pair(self.private, self.public)
        data = folder / "text"
        data.mkdir()
        for number in range(12):
            words = [WORDS[(number * 7 + place * (number + 3)) % len(WORDS)] for place in range(120)]
            (data / f"{number:02}.txt").write_text(f"Document {number}. " + " ".join(words) + "\n")
        self.settings: dict[str, Any] = {
            "foundation": {"kind": "directory", "path": str(foundation)},
            "data": {"kind": "text", "path": str(data), "held_out": 0.5},
            "recipe": {**SMALL, "max_steps": 30, "epochs": 20, "checkpoint_every_steps": 5},
            "gate": LENIENT,
            "store": self.store,
            "scratch": str(folder / "scratch"),
            "signing_key": str(self.private),
        }

    def config(self, **changed: Any) -> Path:
        """Write the configuration with these keys changed."""
        path = self.folder / "job.json"
        path.write_text(json.dumps({**self.settings, **changed}))
        return path

    def run(self, *options: str, **changed: Any) -> int:
        return self._warm.run("job", "--config", str(self.config(**changed)), *options)

    def interrupt(self, number: int, when: Callable[[], bool], **changed: Any) -> int:
        """Start it, send it the signal as soon as `when` says so; returns the exit code."""
        child = self._warm.start("job", "--config", str(self.config(**changed)))
        deadline = time.monotonic() + 600
        while not when():
            assert time.monotonic() < deadline, self.said
            assert Path(f"/proc/{child}").exists(), self.said
            time.sleep(0.005)
        os.kill(child, number)
        return self._warm.wait()

    @property
    def said(self) -> str:
        return self._warm.log.read_text()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines that it said."""
        return [
            json.loads(line) for line in self.said.splitlines() if line.startswith("{") and line.endswith("}")
        ]

    @property
    def steps(self) -> list[int]:
        return [event["step"] for event in self.events if "step" in event]

    def objects(self, s3: Any) -> list[str]:
        """The keys below its store."""
        prefix = self.store.removeprefix(f"s3://{BUCKET}/") + "/"
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", ())
        return [each["Key"].removeprefix(prefix) for each in found]


@pytest.fixture(scope="session")
def new_job(
    tiny_foundation: Path,
    warm: Warm,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Job]:
    """Makes a job with a store of its own."""

    def make(name: str) -> Job:
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            make_bucket()
        return Job(tmp_path_factory.mktemp("jobs") / name, tiny_foundation, warm)

    return make


@pytest.fixture
def s3(aws_api: Aws) -> Any:
    return boto3.client("s3")
