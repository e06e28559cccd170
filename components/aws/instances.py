"""Instance types: a node's capacity and network interfaces; pure, for previews."""

from __future__ import annotations

from dataclasses import dataclass

GPU_TAINT = "nvidia.com/gpu"
"""Taint that keeps pods without a GPU request off GPU nodes; its name is the customary one."""
TRAINING_TAINT = "scenario/training"
"""Taint that keeps all but training off training nodes without GPU; GPU nodes have the GPU taint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interface:
    """A network interface of a node: `interface` (IP), `efa` (both) or `efa-only`, by EC2's names."""

    card: int
    device: int
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceType:
    """One instance type.

    Attributes:
        name: EC2's name.
        vcpus: virtual CPUs, two of which are a core.
        memory_gib: main memory in GiB.
        gpus: whole GPUs.
        gpu_model: NVIDIA's model, empty without.
        gpu_memory_gib: memory of one GPU in GiB, rounded down.
        network_cards: network cards.
        efa_interfaces: EFA interfaces, at most one a card.
        nvme_disks: local disks, which lose their content with the instance.
        nvme_disk_gb: one disk's size in GB (powers of ten).
        capacity_blocks: whether Capacity Blocks of it are sold.
        source: where this was published.
        as_of: the month it was read.

    """

    name: str
    vcpus: int
    memory_gib: int
    source: str
    as_of: str
    gpus: int = 0
    gpu_model: str = ""
    gpu_memory_gib: int = 0
    network_cards: int = 1
    efa_interfaces: int = 0
    nvme_disks: int = 0
    nvme_disk_gb: int = 0
    capacity_blocks: bool = False

    @property
    def nvme_gb(self) -> int:
        """The local disks together, in GB."""
        return self.nvme_disks * self.nvme_disk_gb

    @property
    def pod_vcpus(self) -> int:
        """The vCPUs that one pod may request: one is reserved for the kubelet and the node's daemons.

        A conservative estimate: EKS reserves 6 % of the first core, 1 % of the second, less of others.
        """
        return self.vcpus - 1

    @property
    def pod_memory_gib(self) -> int:
        """The GiB that one pod may request: 5 %, at least 2 GiB, are reserved for the kubelet and the daemons.

        A conservative estimate: EKS reserves 255 MiB, 11 MiB for each of up to 737 pods, and 100 MiB.
        """
        return self.memory_gib - max(2, -(-self.memory_gib // 20))

    @property
    def taint(self) -> str:
        """Key of the taint (value `true`) that keeps other pods off such nodes."""
        return GPU_TAINT if self.gpus else TRAINING_TAINT

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces for full EFA bandwidth with one IP address; empty without EFA.

        With one card, one interface is both. With more, IP is alone at card 0, device 0; each card has an
        EFA-only interface at device 0, card 0 at device 1, if it does EFA at all (p6-b300's does not).
        Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-acc-inst-types.html, read 2026-11.
        """
        if not self.efa_interfaces:
            return ()
        if self.network_cards == 1:
            return (Interface(card=0, device=0, kind="efa"),)
        first: tuple[Interface, ...] = (Interface(card=0, device=0, kind="interface"),)
        if self.efa_interfaces == self.network_cards:
            first = (*first, Interface(card=0, device=1, kind="efa-only"))
        others = range(1, self.network_cards)
        return first + tuple(Interface(card=card, device=0, kind="efa-only") for card in others)


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The requests of one pod, alone on its node: counts, vCPUs, GiB of memory, GB of local scratch."""

    gpus: int = 0
    efa_interfaces: int = 0
    vcpus: float = 0
    memory_gib: float = 0
    scratch_gb: float = 0
