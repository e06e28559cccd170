"""`scenario-model job`: from a foundation model to a release in a bucket, whatever ends it on the way."""

from __future__ import annotations

import fnmatch
import json
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scenario_model.job.checkpoints import BucketCheckpoints
from scenario_model.release import channel
from scenario_model.release.stores import open_store
from scenario_model.release.verify import verify_release
from scenario_model.signing import keys
from scenario_model.train.loop import _StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.model.job.conftest import Job

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def done(new_job: Callable[[str], Job]) -> tuple[Job, dict[str, Any]]:
    """A job that nothing disturbed, and its outcome."""
    job = new_job("undisturbed")
    assert job.run() == 0, job.said
    assert job.steps == list(range(1, 31))
    return job, job.events[-1]


def test_a_job_leaves_a_signed_release_in_its_channel_and_says_so_last(
    done: tuple[Job, dict[str, Any]], s3: Any, tmp_path: Path
) -> None:
    job, outcome = done
    assert (outcome["event"], outcome["passed"], outcome["reasons"]) == ("released", True, [])
    store = open_store(job.store, tmp_path)
    assert channel.current(store, "assistant", "stable", job.public) == outcome["release"]
    release = verify_release(store.fetch(outcome["release"]), job.public, expect=outcome["release"])
    assert release.manifest["evaluation"] == outcome["evaluation"]
    assert outcome["evaluation"]["model"] == outcome["model"]
    assert outcome["tokens"] == 30 * 256
    run = outcome["run"].removeprefix("sha256:")
    kept = [key for key in job.objects(s3) if key.startswith(("runs/", "checkpoints/"))]
    names = ("evaluation", "outcome", "result")
    assert kept == [f"runs/{run}/{name}.json" for name in names], "no checkpoint is left"
    prefix = job.store.split("/", 3)[3]
    told = s3.get_object(Bucket=job.store.split("/")[2], Key=f"{prefix}/runs/{run}/outcome.json")
    written = json.loads(told["Body"].read())
    assert written.pop("signature")
    assert written == outcome


def test_the_same_job_again_on_another_host_trains_nothing_and_says_the_same(
    done: tuple[Job, dict[str, Any]], tmp_path: Path
) -> None:
    job, outcome = done
    assert job.run(scratch=str(tmp_path / "scratch")) == 0
    assert job.events == [outcome]
    assert job.run("--plan", scratch=str(tmp_path / "scratch")) == 0
    assert job.events[-1]["run"] == outcome["run"]


def test_killed_in_training_a_host_with_nothing_goes_on_from_the_bucket_to_the_same_weights(
    done: tuple[Job, dict[str, Any]], new_job: Callable[[str], Job], s3: Any, tmp_path: Path
) -> None:
    job = new_job("killed")

    def copied() -> bool:
        return bool(fnmatch.filter(job.objects(s3), "checkpoints/*/step-00000005/complete.json"))

    assert job.interrupt(signal.SIGKILL, copied) == -signal.SIGKILL
    assert job.run(scratch=str(tmp_path / "scratch")) == 0, job.said
    assert job.steps[0] > 5
    assert job.events[-1]["model"] == done[1]["model"]


def test_sigterm_saves_ends_with_75_and_the_next_host_goes_on_to_the_same_weights(
    done: tuple[Job, dict[str, Any]], new_job: Callable[[str], Job], tmp_path: Path
) -> None:
    job = new_job("told-to-stop")
    recipe = {**job.settings["recipe"], "checkpoint_every_steps": 1000}
    assert job.interrupt(signal.SIGTERM, lambda: len(job.steps) >= 7, recipe=recipe) == 75, job.said
    last = job.steps[-1]
    assert job.events[-1]["event"] == "stopped"
    assert f"stopped by SIGTERM after step {last}, which is saved" in job.events[-1]["reason"]
    assert job.run(recipe=recipe, scratch=str(tmp_path / "scratch")) == 0, job.said
    assert job.steps == list(range(last + 1, 31))
    assert job.events[-1]["model"] == done[1]["model"]


def test_sigterm_before_training_ends_with_75_too(new_job: Callable[[str], Job]) -> None:
    job = new_job("told-early")
    assert job.interrupt(signal.SIGTERM, lambda: '"begun"' in job.said) == 75, job.said
    assert job.events[-1]["event"] == "stopped"


@pytest.mark.parametrize("file", [pytest.param("result.json", marks=pytest.mark.soak), "outcome.json"])
def test_killed_before_it_has_written_what_came_of_it_the_next_life_makes_the_same_release(
    file: str, new_job: Callable[[str], Job], s3: Any, tmp_path: Path
) -> None:
    job = new_job(f"late-{file}")
    assert job.run() == 0, job.said
    outcome = job.events[-1]
    bucket, prefix = job.store.split("/")[2], job.store.split("/", 3)[3]
    # As if it had been killed right before: what is written later is not there, and the host is another.
    written = ("result.json", "evaluation.json", "outcome.json")
    run = outcome["run"].removeprefix("sha256:")
    for name in written[written.index(file) :]:
        s3.delete_object(Bucket=bucket, Key=f"{prefix}/runs/{run}/{name}")
    scratch = job.settings["scratch"] if file == "result.json" else str(tmp_path / "scratch")
    assert job.run(scratch=scratch) == 0, job.said
    assert job.events[-1]["release"] == outcome["release"]
    assert len([key for key in job.objects(s3) if key.endswith("release.sig")]) == 1
    assert [key for key in job.objects(s3) if key.startswith("channels/")] == [
        "channels/assistant/stable/00000001.json"
    ]


def test_a_gate_that_fails_refuses_leaves_the_channel_alone_and_is_not_tried_again(
    new_job: Callable[[str], Job], s3: Any
) -> None:
    job = new_job("failed")
    gate = {**job.settings["gate"], "minimum_gain": 50.0}
    assert job.run(gate=gate) == 1, job.said
    outcome = job.events[-1]
    assert outcome["event"] == "refused"
    assert "its upper end must be below -50" in outcome["reasons"][0]
    assert not [key for key in job.objects(s3) if key.startswith("channels/")]
    assert job.run(gate=gate) == 1
    assert job.events == [outcome]


def test_an_outcome_that_somebody_else_wrote_is_refused(
    done: tuple[Job, dict[str, Any]], new_job: Callable[[str], Job], s3: Any
) -> None:
    job = new_job("forged")
    assert job.run("--plan") == 0, job.said
    run = job.events[-1]["run"].removeprefix("sha256:")
    bucket, prefix = job.store.split("/")[2], job.store.split("/", 3)[3]
    forged = {**done[1], "signature": "AAAA"}
    s3.put_object(Bucket=bucket, Key=f"{prefix}/runs/{run}/outcome.json", Body=json.dumps(forged).encode())
    assert job.run() == 1
    assert (
        "outcome.json: was not written by this job, or signed with another key"
        in job.events[-1]["reasons"][0]
    )


def test_a_channel_of_another_key_is_refused_before_a_step_is_trained(
    done: tuple[Job, dict[str, Any]], new_job: Callable[[str], Job], s3: Any
) -> None:
    job = new_job("stranger")
    bucket, prefix, of_another = (
        each.split("/", 3)[place] for each, place in ((job.store, 2), (job.store, 3), (done[0].store, 3))
    )
    for key in [each for each in done[0].objects(s3) if each.startswith("channels/")]:
        source = {"Bucket": bucket, "Key": f"{of_another}/{key}"}
        s3.copy_object(Bucket=bucket, Key=f"{prefix}/{key}", CopySource=source)
    assert job.run() == 1
    said = job.events[-1]["reasons"][0]
    assert "channel stable of assistant is not signed by this job's key" in said
    assert "choose another release.name" in said
    assert {each.partition("/")[0] for each in job.objects(s3)} == {"channels"}, "nothing was trained"


def test_a_foundation_model_out_of_a_bucket_is_signed_or_of_the_digest_that_is_named(
    new_job: Callable[[str], Job], tiny_foundation: Path, s3: Any, tmp_path: Path
) -> None:
    from scenario_model.foundation.importer import read_record
    from scenario_model.signing.signature import sign_directory

    job = new_job("foundations")
    bucket, prefix = job.store.split("/")[2], job.store.split("/", 3)[3]
    signed = Path(shutil.copytree(tiny_foundation, tmp_path / "signed"))
    sign_directory(signed, job.private)
    digest = read_record(tiny_foundation)["digest"]

    def there(name: str, source: Path) -> str:
        for path in source.iterdir():
            s3.upload_file(str(path), bucket, f"{prefix}/{name}/{path.name}")
        return f"{job.store}/{name}"

    def tried(number: int, **foundation: Any) -> tuple[int, str]:
        scratch = str(tmp_path / f"scratch-{number}")
        code = job.run("--plan", foundation={"kind": "bucket", **foundation}, scratch=scratch)
        return code, job.said

    unsigned, good = there("unsigned", tiny_foundation), there("signed", signed)
    changed = there("changed", signed)
    s3.put_object(Bucket=bucket, Key=f"{prefix}/changed/config.json", Body=b"{}")
    key = str(job.public)
    assert job.run("--plan") == 0
    named = job.events[-1]["run"]
    for number, vouched in enumerate(({"digest": digest}, {"verification_key": key})):
        code, said = tried(number, uri=good if "verification_key" in vouched else unsigned, **vouched)
        assert code == 0, said
        assert job.events[-1]["run"] == named, "the same model makes the same run, wherever it comes from"
    code, said = tried(2, uri=unsigned)
    assert (code, "the foundation model is not authenticated; add foundation." in said) == (2, True), said
    code, said = tried(3, uri=unsigned, verification_key=key)
    assert (code, "not signed: it has no release.sig" in said) == (1, True), said
    code, said = tried(4, uri=changed, verification_key=key)
    assert (code, "config.json: content differs from what was signed" in said) == (1, True), said
    code, said = tried(5, uri=unsigned, digest=f"sha256:{'0' * 64}")
    assert (code, "is not the model sha256:0000" in said) == (1, True), said


def test_data_comes_out_of_a_bucket_and_makes_the_same_run(
    new_job: Callable[[str], Job], s3: Any, tmp_path: Path
) -> None:
    job = new_job("data")
    bucket, prefix = job.store.split("/")[2], job.store.split("/", 3)[3]
    for path in Path(job.settings["data"]["path"]).iterdir():
        s3.upload_file(str(path), bucket, f"{prefix}/text/{path.name}")
    assert job.run("--plan") == 0, job.said
    here = job.events[-1]
    data = {**job.settings["data"], "path": f"{job.store}/text"}
    assert job.run("--plan", data=data) == 0, job.said
    assert job.events[-1]["run"] == here["run"]
    s3.put_object(
        Bucket=bucket, Key=f"{prefix}/text/99.txt", Body=b"Another document about the sea and a river."
    )
    assert job.run("--plan", data=data) == 0, job.said
    assert job.events[-1]["run"] != here["run"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"store": "/var/store"}, "key 'store' is '/var/store'; give s3://BUCKET/PREFIX"),
        ({"save_before": "2026-11-24T11:30:00"}, "key 'save_before' is '2026-11-24T11:30:00'; write a time"),
        ({"store": "s3://there-is-no-such-bucket"}, "s3://there-is-no-such-bucket: no such bucket"),
        ({"signing_key": "/keys/none.pem"}, "/keys/none.pem: cannot read the key"),
        ({"channels": {}}, "unknown key 'channels'; known keys: foundation"),
    ],
)
def test_a_configuration_that_does_not_hold_ends_with_2_and_one_line(
    changed: dict[str, Any], said: str, new_job: Callable[[str], Job]
) -> None:
    job = new_job("bad")
    assert job.run(**changed) == 2, job.said
    assert said in job.said
    assert job.events[-1]["event"] == "failed"
    assert "Traceback" not in job.said


def test_before_capacity_ends_it_saves_and_does_not_begin_what_cannot_be_saved(
    new_job: Callable[[str], Job],
) -> None:
    job = new_job("ending")
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    assert job.run(save_before=soon) == 75, job.said
    assert "because of save_before" in job.events[-1]["reason"]
    assert job.steps == []
    request = _StopRequest(datetime.now(UTC) + timedelta(seconds=100))
    request.lasted(30)
    assert not request.wanted
    request.lasted(40)
    assert request.wanted, "another step and its checkpoint may take 40 s each, a slower one 30 s more"


def test_only_checkpoints_that_are_signed_and_whole_are_taken(
    new_job: Callable[[str], Job], s3: Any, tmp_path: Path
) -> None:
    from scenario_model.cloud.bucket import Bucket

    job = new_job("copies")
    key, place = keys.load_private(job.private), "checkpoints/1"
    bucket = Bucket(f"{job.store}/{place}")
    copies = BucketCheckpoints(bucket, key, place)
    (tmp_path / "run.json").write_text('{"environment": {"threads": 3}}')
    for number in (1, 2, 3, 4):
        folder = tmp_path / "checkpoints" / f"step-{number:08d}"
        folder.mkdir(parents=True)
        (folder / "rank-0.safetensors").write_bytes(b"%d" % number)
        digest = "sha256:" + __import__("hashlib").sha256(b"%d" % number).hexdigest()
        marker = {"progress": {"step": number}, "files": {"rank-0.safetensors": digest}}
        (folder / "complete.json").write_text(json.dumps(marker))
        copies.keep(folder)
    copies.settle()
    assert bucket.children("") == ["step-00000003", "step-00000004"], "the newest two"
    bucket.put("step-00000004/rank-0.safetensors", b"torn")
    marker_of_3 = bucket.read("step-00000003/complete.json", 10_000)
    assert marker_of_3
    bucket.put("step-00000005/rank-0.safetensors", b"3")
    bucket.put("step-00000005/complete.json", marker_of_3)
    noted: list[dict[str, Any]] = []
    BucketCheckpoints(bucket, key, place).bring(tmp_path / "new", noted.append)
    assert [path.name for path in (tmp_path / "new").glob("step-*")] == ["step-00000003"]
    assert (tmp_path / "new/step-00000003/rank-0.safetensors").read_bytes() == b"3"
    assert noted == [{"threads": 3}]
    BucketCheckpoints(bucket, key, place).bring(tmp_path / "checkpoints", noted.append)
    assert len(noted) == 1, "what is here is as new"
    copies.clear()
    assert bucket.sizes() == {}
