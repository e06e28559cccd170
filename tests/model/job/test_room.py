"""A run that will not fit on the scratch disk ends before it costs anything, with both sizes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from scenario_model.errors import InputError
from scenario_model.job.room import Need, require_room_for_inputs, require_room_to_train
from scenario_model.job.settings import FoundationHere, JobSettings
from scenario_model.train.settings import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.model.job.conftest import Job

MIB = 2**20
# 1,000,000 weights of two bytes: 2 MB, and a checkpoint of all of them 12 MB.
MATRIX, VECTOR = (999, 1000), (1000,)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., JobSettings]:
    """A job of a foundation model that is here, of a million bf16 weights; keywords change the recipe."""
    folder = tmp_path / "foundation"
    folder.mkdir()
    save_file({"matrix": np.zeros(MATRIX, np.float16)}, folder / "model-1.safetensors")
    save_file({"vector": np.zeros(VECTOR, np.float16)}, folder / "model-2.safetensors")

    def make(scratch_bytes: int | None, **recipe: Any) -> JobSettings:
        return JobSettings(
            foundation=FoundationHere(path=folder),
            recipe=Recipe(**recipe),
            store="s3://a-bucket",
            scratch=tmp_path / "scratch",
            scratch_bytes=scratch_bytes,
            signing_key="key.pem",
        )

    return make


def here(settings: JobSettings) -> Path:
    found = settings.foundation
    assert isinstance(found, FoundationHere)
    return found.path


def test_a_full_training_needs_three_checkpoints_of_weights_and_moments(
    settings: Callable[..., JobSettings],
) -> None:
    enough = settings(36_000_000, method="full")
    require_room_to_train(enough, here(enough))
    little = settings(35_900_000, method="full")
    with pytest.raises(InputError) as refused:
        require_room_to_train(little, here(little))
    assert refused.value.what == (
        "the run needs 34.3 MiB of disk (foundation model and data 0.0 MiB, 3 checkpoints of 11.4 MiB, the trained "
        "model 1.9 MiB, twice for its release), but there are 34.2 MiB"
    )
    assert "raise training.scratch, on AWS cloud:nodes.disk_gib too" in refused.value.remedy


def test_adapters_need_little_more_than_the_model_and_its_release(
    settings: Callable[..., JobSettings],
) -> None:
    weights = 2_000_000 + 400  # with the headers of its files
    adapters = 3 * 12 * 16 * sum(MATRIX)
    enough = settings(max(adapters, 2 * weights), method="lora", rank=16)
    require_room_to_train(enough, here(enough))
    little = settings(weights, method="lora", rank=16)
    with pytest.raises(InputError, match="the run needs"):
        require_room_to_train(little, here(little))


def test_a_run_of_few_steps_makes_fewer_checkpoints(settings: Callable[..., JobSettings]) -> None:
    one = settings(15_000_000, method="full", max_steps=5, checkpoint_every_steps=10)
    require_room_to_train(one, here(one))
    two = settings(15_000_000, method="full", max_steps=20, checkpoint_every_steps=10)
    with pytest.raises(InputError, match="2 checkpoints"):
        require_room_to_train(two, here(two))


def test_before_the_download_only_what_is_certain_counts(settings: Callable[..., JobSettings]) -> None:
    # Files of 2 MB hold half a million weights at least: they might be of four bytes each.
    require_room_for_inputs(settings(18_100_000, method="full"))
    with pytest.raises(InputError, match="the run needs at least"):
        require_room_for_inputs(settings(17_900_000, method="full"))


def test_what_is_in_the_scratch_folder_already_is_a_part_of_the_run(
    settings: Callable[..., JobSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(None, method="full")
    wanted.scratch.mkdir()
    (wanted.scratch / "checkpoint").write_bytes(b"0" * 20_000_000)

    def free(place: Path) -> Any:
        return type("Usage", (), {"free": 16_100_000})

    monkeypatch.setattr("scenario_model.job.room.shutil.disk_usage", free)
    require_room_to_train(wanted, here(wanted))
    (wanted.scratch / "checkpoint").unlink()
    with pytest.raises(InputError, match="the run needs"):
        require_room_to_train(wanted, here(wanted))


def test_sizes_are_those_of_8_billion_weights() -> None:
    need = Need(inputs=16 * 10**9, weights=16 * 10**9, checkpoint=96 * 10**9, checkpoints=3)
    assert need.most == (16 + 3 * 96) * 10**9
    adapters = Need(inputs=16 * 10**9, weights=16 * 10**9, checkpoint=10**8, checkpoints=3)
    assert adapters.most == (16 + 2 * 16) * 10**9


@pytest.mark.slow
def test_a_job_that_does_not_fit_ends_with_2_before_anything_is_downloaded(
    new_job: Callable[[str], Job], tiny_foundation: Path, s3: Any, tmp_path: Path
) -> None:
    job = new_job("no-room")
    bucket, prefix = job.store.split("/")[2], job.store.split("/", 3)[3]
    for path in tiny_foundation.iterdir():
        s3.upload_file(str(path), bucket, f"{prefix}/model/{path.name}")
    digest = json.loads((tiny_foundation / "foundation.json").read_text())["digest"]
    foundation = {"kind": "bucket", "uri": f"{job.store}/model", "digest": digest}
    scratch = tmp_path / "scratch"
    assert job.run("--plan", foundation=foundation, scratch=str(scratch), scratch_bytes=MIB // 16) == 2, (
        job.said
    )
    assert f"{scratch}: the run needs at least" in job.events[-1]["reason"]
    assert not scratch.exists()
