"""What no cluster would take, or no queue admit, is refused in a preview, in one line."""

from __future__ import annotations

from typing import Any

import pytest

from components.errors import ClusterError
from components.kubernetes.job_args import PodSize, TrainingJobArgs, require_possible
from components.kubernetes.queues import Flavor


def job(**changes: Any) -> TrainingJobArgs:
    arguments: dict[str, Any] = {
        "namespace": "training",
        "queue": "gpus",
        "kubeconfig": "{}",
        "image": "localhost/scenario-model:0.1.0",
        "config": {"recipe": {"rank": 16}},
        "pods": 2,
        "size": PodSize(cpu="8", memory="64Gi", gpus=8, efa=32),
    }
    return TrainingJobArgs(**{**arguments, **changes})


@pytest.mark.parametrize("name", ["", "Training", "1st", "a-", "a" * 31, "a.b", "a_b"])
def test_a_name_of_which_no_pod_could_be_named_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="starting with a letter, without - at the end"):
        require_possible(name, job())


@pytest.mark.parametrize("name", ["a", "training", "a" * 30, "sft-2"])
def test_any_other_name_is_taken(name: str) -> None:
    require_possible(name, job())


def test_a_job_of_no_pods_is_refused() -> None:
    with pytest.raises(ClusterError, match="training job sft has 0 pods"):
        require_possible("sft", job(pods=0))


def test_a_quantity_that_is_none_is_refused_by_its_words() -> None:
    with pytest.raises(ClusterError, match="training job sft: '64GB' is not a Kubernetes quantity"):
        require_possible("sft", job(size=PodSize(cpu="8", memory="64GB")))


def test_more_shared_memory_than_memory_is_refused() -> None:
    size = PodSize(cpu="8", memory="4Gi", shared_memory="5000Mi")
    with pytest.raises(ClusterError, match="shared memory of 5000Mi is part of its memory"):
        require_possible("sft", job(size=size))


def flavor(name: str, **quota: str) -> Flavor:
    named = {"cpu": "1000", "memory": "10Ti", "nvidia.com/gpu": "64", "vpc.amazonaws.com/efa": "256"}
    return Flavor(name=name, quota={**named, **{f"nvidia.com/{key}": each for key, each in quota.items()}})


def test_a_job_that_fits_in_no_flavor_is_refused_with_what_each_lacks() -> None:
    small, large = flavor("p4", gpu="8"), flavor("p5", gpu="15")
    expected = (
        r"training job sft would never start: 2 pods x 8 of nvidia.com/gpu, but p4 has 8; "
        r"2 pods x 8 of nvidia.com/gpu, but p5 has 15; request less"
    )
    with pytest.raises(ClusterError, match=expected):
        require_possible("sft", job(flavors=[small, large]))


def test_a_job_that_fits_in_one_of_the_flavors_is_taken() -> None:
    require_possible("sft", job(flavors=[flavor("p4", gpu="8"), flavor("p5", gpu="16")]))


def test_a_resource_without_a_quota_is_refused_because_the_queue_would_not_admit_it() -> None:
    without = Flavor(name="cpu", quota={"cpu": "100", "memory": "1Ti"})
    with pytest.raises(ClusterError, match=r"8 of nvidia.com/gpu, but cpu has none"):
        require_possible("sft", job(flavors=[without]))
