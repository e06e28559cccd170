"""What a training job in a cluster is made from, and what of it can be refused before anybody is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.errors import ClusterError
from components.kubernetes.quantities import amount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    import pulumi

    from components.kubernetes.queues import Flavor

GPU = "nvidia.com/gpu"
EFA = "vpc.amazonaws.com/efa"

_NAME_CHARACTERS = 30
# Of the 63 that a pod's name may have, JobSet and Kubernetes add `-workers-0-9999-abcde`, we a digest.
_NAME = re.compile(rf"[a-z]([-a-z0-9]{{0,{_NAME_CHARACTERS - 2}}}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class PodSize:
    """What one pod of a gang asks of its node, in Kubernetes' quantities.

    Attributes:
        cpu: processors; it may use more where there are more.
        memory: all that it may use, shared memory included.
        gpus: NVIDIA's GPUs; as many processes train in the pod, or one without GPUs.
        efa: EFA interfaces of the instance type.
        shared_memory: what processes of the pod may share; data loaders and NCCL do.
        scratch: how much disk of the node it may take for model, data and checkpoints.

    """

    cpu: str
    memory: str
    gpus: int = 0
    efa: int = 0
    shared_memory: str = "1Gi"
    scratch: str = "50Gi"

    def requests(self) -> dict[str, str]:
        """Return the resources that the queue counts and the node reserves, by name."""
        counted = {GPU: self.gpus, EFA: self.efa}
        devices = {name: str(number) for name, number in counted.items() if number}
        return {"cpu": self.cpu, "memory": self.memory, **devices}


@dataclass(frozen=True, kw_only=True)
class SecretKey:
    """One entry of a Kubernetes Secret that is there in the job's namespace."""

    secret: pulumi.Input[str]
    key: str


@dataclass(frozen=True, kw_only=True)
class TrainingJobArgs:
    """What a gang of pods trains, and where.

    Attributes:
        namespace: where it runs; a platform's.
        queue: the local queue there that admits it.
        kubeconfig: access to the cluster for `pulumi up`, which watches the job; kept as a secret.
        image: the model package's image, best by digest.
        config: what `scenario-model job` reads, without secrets: it is kept in plain text.
        pods: how many; each has a node of its own unless `spread` is off.
        size: what each pod asks for.
        service_account: whose cloud identity the pods have; its Kubernetes token is not mounted.
        secret_files: files below `/keys`, by name.
        images: images whose files can be read below `/images`, each in a folder of this name; needs
            Kubernetes 1.35 or later.
        environment: variables of the pods; nothing secret.
        secret_environment: variables whose values are in Secrets.
        launcher: arguments of python3 that start what takes torchrun's arguments and ends with the exit code
            of what it starts, or 143 if it is told to stop; torchrun itself ends with 1 in every case.
        program: what every process runs; the configuration is at `/config/job.json`.
        restarts: how often the gang starts again after a failure; after a preemption it always does.
        grace_s: how long a pod that has to go may take to save, in seconds.
        spread: whether each pod needs a node of its own.
        nearby: a node label of the platform's topology, within whose value the pods are placed if possible.
        flavors: the queue's, where they are known: a gang that fits in none of them is refused.
        wait: whether `pulumi up` stays until the job has ended.
        queue_timeout_s: how long it may wait for quota, nodes or its image meanwhile, in seconds.

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
    restarts: int = 20
    grace_s: int = 120
    spread: bool = True
    nearby: str | None = None
    flavors: Sequence[Flavor] = ()
    wait: bool = True
    queue_timeout_s: int = 3600


def require_possible(name: str, args: TrainingJobArgs) -> None:
    """Refuse what no cluster would take, or this queue would never admit.

    Raises:
        ClusterError: the name, a number or a quantity is not possible, or the quota is too small.

    """
    if not _NAME.fullmatch(name):
        message = (
            f"a training job cannot be called {name!r}: up to {_NAME_CHARACTERS} of a-z, 0-9 and -, a letter "
            "first, no - at the end"
        )
        raise ClusterError(message)
    if args.pods < 1:
        raise ClusterError(f"training job {name} has {args.pods} pods; give it one or more")
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
            f"training job {name} would never start: {'; '.join(lacking)}; ask for less, or raise the "
            "platform's quota"
        )
        raise ClusterError(message)


def _lacking(name: str, args: TrainingJobArgs, asked: Mapping[str, Decimal], flavor: Flavor) -> str:
    """Return what a flavour has too little of for the whole gang; empty where it fits."""
    for resource, wanted in asked.items():
        quota = flavor.quota.get(resource)
        if quota is None or wanted * args.pods > _quantity(name, quota):
            each = args.size.requests()[resource]
            return f"{args.pods} pods x {each} of {resource}, and {flavor.name} has {quota or 'none'}"
    return ""


def _quantity(name: str, text: str) -> Decimal:
    return amount(text, f"training job {name}")
