"""Inputs of a training job in a cluster, and their validation without contacting the cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.errors import ClusterError
from components.kubernetes.placing import Placing
from components.kubernetes.quantities import amount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import pulumi

    from components.kubernetes.queues import Flavor

GPU = "nvidia.com/gpu"
EFA = "vpc.amazonaws.com/efa"
DISK = "ephemeral-storage"

_NAME_CHARACTERS = 30
# A pod's name has at most 63: JobSet and Kubernetes append `-workers-0-9999-abcde`, we a digest.
_NAME = re.compile(rf"[a-z]([-a-z0-9]{{0,{_NAME_CHARACTERS - 2}}}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class PodSize:
    """Requests of one worker pod, in Kubernetes' quantities.

    Attributes:
        cpu: processors; it may use more if available.
        memory: its memory limit, shared memory included.
        gpus: NVIDIA GPUs; the pod trains with one process per GPU, or one without GPUs.
        efa: EFA interfaces of the instance type.
        shared_memory: size of /dev/shm, for data loaders and NCCL.
        scratch: the node's disk space it may use for model, data and checkpoints.
        scratch_reserved: whether the node reserves it: then the queue counts it, and its quota must name it.

    """

    cpu: str
    memory: str
    gpus: int = 0
    efa: int = 0
    shared_memory: str = "1Gi"
    scratch: str = "50Gi"
    scratch_reserved: bool = False

    def requests(self) -> dict[str, str]:
        """Return the resources that the queue counts and the node reserves, by name."""
        counted = {GPU: self.gpus, EFA: self.efa}
        devices = {name: str(number) for name, number in counted.items() if number}
        disk = {DISK: self.scratch} if self.scratch_reserved else {}
        return {"cpu": self.cpu, "memory": self.memory, **disk, **devices}


@dataclass(frozen=True, kw_only=True)
class SecretKey:
    """One entry of an existing Kubernetes Secret in the job's namespace."""

    secret: pulumi.Input[str]
    key: str


@dataclass(frozen=True, kw_only=True)
class TrainingJobArgs:
    """Inputs of a training job.

    Attributes:
        namespace: where it runs; a platform's.
        queue: the local queue there that admits it.
        kubeconfig: access to the cluster for `pulumi up`, which watches the job; stored as a secret.
        image: the model package's image, preferably by digest.
        config: configuration of `scenario-model job`, without secrets: it is stored in plain text.
        pods: their number; each has its own node unless `spread` is off.
        size: each pod's requests.
        service_account: provides the pods' cloud identity; its Kubernetes token is not mounted.
        secret_files: files below `/keys`, by name.
        images: images whose files can be read below `/images`, each in a folder of this name; needs
            Kubernetes 1.35 or later.
        environment: environment variables of the pods; not for secrets.
        secret_environment: environment variables with values from Secrets.
        launcher: python3 arguments of a launcher that takes torchrun's arguments and exits with the code of
            its workers, or 143 on SIGTERM; torchrun itself exits with 1 in every case.
        program: the program of every process; the configuration is at `/config/job.json`.
        restarts: maximum restarts of the job after failures; after a preemption it always restarts, and restarts
            without progress are ended by the job itself.
        grace_s: time to save for a pod that is terminated, in seconds.
        placing: what pods need to start on some nodes.
        spread: whether each pod needs its own node.
        nearby: a node label of the platform's topology; pods are placed within one value of it if possible.
        flavors: the queue's, if known: a job that fits in none of them is refused.
        wait: whether `pulumi up` waits for the job to end.
        queue_timeout_s: maximum wait for quota, nodes or its image, in seconds; and of pods for each other.

    """

    namespace: pulumi.Input[str]
    queue: pulumi.Input[str]
    kubeconfig: pulumi.Input[str]
    image: pulumi.Input[str]
    config: pulumi.Input[Mapping[str, Any]]
    pods: int
    size: PodSize
    service_account: pulumi.Input[str] = "default"
    secret_files: Mapping[str, SecretKey] = field(default_factory=dict)
    images: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secret_environment: Mapping[str, SecretKey] = field(default_factory=dict)
    launcher: Sequence[str] = ("-m", "scenario_model.train.torchrun")
    program: Sequence[str] = ("-m", "scenario_model", "job", "--config", "/config/job.json")
    restarts: int = 100
    grace_s: int = 120
    placing: Placing = field(default_factory=Placing)
    spread: bool = True
    nearby: str | None = None
    flavors: Sequence[Flavor] = ()
    wait: bool = True
    queue_timeout_s: int = 3600


def require_possible(name: str, args: TrainingJobArgs) -> None:
    """Refuse what no cluster would accept, or this queue would never admit.

    Raises:
        ClusterError: the name, a number or a quantity is invalid, or the quota is too small.

    """
    if not _NAME.fullmatch(name):
        message = (
            f"invalid training job name {name!r}: use up to {_NAME_CHARACTERS} of a-z, 0-9 and -, starting "
            "with a letter, without - at the end"
        )
        raise ClusterError(message)
    if args.pods < 1:
        raise ClusterError(f"training job {name} has {args.pods} pods; set one or more")
    asked = {each: _quantity(name, text) for each, text in args.size.requests().items()}
    if _quantity(name, args.size.shared_memory) > asked["memory"]:
        message = (
            f"training job {name}: a pod's shared memory of {args.size.shared_memory} is part of its memory, "
            f"which is only {args.size.memory}; raise memory"
        )
        raise ClusterError(message)
    lacking = [_lacking(name, args, asked, each) for each in args.flavors]
    if lacking and all(lacking):
        message = (
            f"training job {name} would never start: {'; '.join(lacking)}; request less, or raise the "
            "platform's quota"
        )
        raise ClusterError(message)


def _lacking(name: str, args: TrainingJobArgs, asked: Mapping[str, Decimal], flavor: Flavor) -> str:
    """Return the resources of which a flavor has too little for all workers; empty if it fits."""
    for resource, wanted in asked.items():
        quota = flavor.quota.get(resource)
        if quota is None or wanted * args.pods > _quantity(name, quota):
            each = args.size.requests()[resource]
            return f"{args.pods} pods x {each} of {resource}, but {flavor.name} has {quota or 'none'}"
    return ""


def _quantity(name: str, text: str) -> Decimal:
    return amount(text, f"training job {name}")
