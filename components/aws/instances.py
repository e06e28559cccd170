"""Instance types: a node's capacity and network interfaces; pure, for previews."""

from __future__ import annotations

from dataclasses import dataclass, replace

GPU_TAINT = "nvidia.com/gpu"
"""Taint that keeps pods without a GPU request off GPU nodes; its name is the customary one."""
TRAINING_TAINT = "scenario/training"
"""Taint that keeps all but training off training nodes without GPU; GPU nodes have the GPU taint."""

_KUBELET_MIB, _MIB_OF_A_POD, _EVICTION_MIB = 255, 11, 100
# By the capacity that nodes told: m5.large, .xlarge, r5.xlarge to .16xlarge, g4dn.xlarge, .2xlarge, p4de.24xlarge,
# p5.48xlarge.
_SHARE_OF_THE_MACHINE, _GIB_OF_THE_MACHINE = 0.0262, 0.41
# Device plugin, telemetry and EFA plugin; EKS's own request no memory.
_DAEMONS_GIB = 0.25


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
        gpus: GPUs, as Kubernetes counts them: also one that is a part of a physical one.
        gpu_model: NVIDIA's model, empty without.
        gpu_memory_gib: memory of one GPU in GiB, rounded down.
        network_cards: network cards.
        efa_interfaces: EFA interfaces, at most one a card.
        nvme_disks: local disks, which lose their content with the instance.
        nvme_disk_gb: one disk's size in GB (powers of ten).
        architecture: of its processors, by EC2's name.
        max_pods: pods that a node takes by EKS's default, one IP address for each.
        capacity_blocks: whether Capacity Blocks of it are sold.
        efa_unused: EFA interfaces that nodes do without; huge pages may be set aside for them all the same.
        source: where this was published.
        as_of: the month it was read.

    """

    name: str
    vcpus: int
    memory_gib: int
    max_pods: int
    source: str
    as_of: str
    architecture: str = "x86_64"
    gpus: int = 0
    gpu_model: str = ""
    gpu_memory_gib: int = 0
    network_cards: int = 1
    efa_interfaces: int = 0
    nvme_disks: int = 0
    nvme_disk_gb: int = 0
    capacity_blocks: bool = False
    efa_unused: int = 0

    def without_efa(self) -> InstanceType:
        """Return the type with the one interface that every type has."""
        return replace(self, efa_interfaces=0, efa_unused=self.efa_interfaces)

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
    def allocatable_gib(self) -> float:
        """The GiB that Kubernetes has for pods: without the machine's own, the kubelet's, and huge pages for EFA.

        The machine's own share is a line below all that was measured, by at most 1.2 %. The kubelet's is that of
        nodeadm's getMemoryMebibytesToReserve, and 100 MiB below which it evicts. EFA nodes set 110 pages of 2 MiB aside
        for each vCPU, and one: so it was on p4de.24xlarge and p5.48xlarge.
        """
        kubelet = _KUBELET_MIB + _MIB_OF_A_POD * self.max_pods + _EVICTION_MIB
        huge_pages = 2 * (110 * self.vcpus + 1) if self.efa_interfaces or self.efa_unused else 0
        there = (1 - _SHARE_OF_THE_MACHINE) * self.memory_gib - _GIB_OF_THE_MACHINE
        return there - (kubelet + huge_pages) / 1024

    @property
    def pod_memory_gib(self) -> int:
        """The GiB that one pod may request, beside the daemons of a node."""
        return int(self.allocatable_gib - _DAEMONS_GIB)

    @property
    def ami_type(self) -> str:
        """EKS's image for such nodes, by its name in a managed group."""
        if self.gpus:
            return "AL2023_x86_64_NVIDIA"
        return "AL2023_ARM_64_STANDARD" if self.architecture == "arm64" else "AL2023_x86_64_STANDARD"

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
