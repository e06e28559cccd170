"""Nodes that are other machines than this one by what they tell of themselves, and that really run pods.

Each has a containerd and a kubelet of its own, in a mount namespace in which the kernel tells of other processors,
other memory and another disk. So it is the kubelet that computes what pods may ask for, and the scheduler that decides
by that; pods then share this machine's processors. GPUs come from a device plugin, as on any node: the lab has a
stand-in, the image `device-plugin`.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import LabError, cgroups
from lab.commands import run
from lab.images import image, reference
from lab.kubernetes import pki
from lab.kubernetes.cluster import binaries
from lab.kubernetes.layout import Program
from lab.kubernetes.node import HIDDEN, SOCKET, containerd_config, kubelet_config, write, write_pod_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.kubernetes.cluster import OwnCluster

_TEMPLATE = "machines"
"""The node that has no kubelet, only the images of all others."""
_CPUS, _NUMA = "/sys/devices/system/cpu", "/sys/devices/system/node"
_MEMORY = "/proc/meminfo"
_KUBELET_PORT = 10250
_EVICTION = {"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%"}
"""As on EKS's nodes."""
_IMPORT_S, _SEEN_S, _READY_S = 600.0, 30.0, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a machine tells of itself, and the most pods that its node takes.

    Attributes:
        vcpus: its virtual CPUs, two of which are a core.
        memory_kib: its memory, as its kernel tells: less than was bought.
        disk_kib: the file system of pods' files; those that they write are in this machine's memory.
        pods: the most pods.

    """

    vcpus: int
    memory_kib: int
    disk_kib: int
    pods: int

    @property
    def reserved(self) -> dict[str, str]:
        """What EKS's nodes keep from pods for the kubelet.

        Source: awslabs/amazon-eks-ami, nodeadm/internal/kubelet/config.go, November 2026.
        """
        bounds = [0, 1000, 2000, 4000, max(4000, 1000 * self.vcpus)]
        shares = [600, 100, 50, 25]  # of 10,000
        cpu = sum(
            max(0, min(1000 * self.vcpus, end) - begin) * share // 10_000
            for begin, end, share in zip(bounds[:-1], bounds[1:], shares, strict=True)
        )
        return {"cpu": f"{cpu}m", "memory": f"{11 * self.pods + 255}Mi", "ephemeral-storage": "1Gi"}


def prepare(own: OwnCluster, images: Mapping[str, Sequence[str]]) -> None:
    """Import images, under other names too, for all nodes to come; the largest take half a minute. Raises LabError."""
    started = _containerd(own, _TEMPLATE)
    for each, names in images.items():
        _ctr(own, started, "image", "import", str(image(each)))
        for name in names:
            _ctr(own, started, "image", "tag", reference(each), name)
    _stop(own, started)


def start(
    own: OwnCluster,
    number: int,
    machine: Machine,
    labels: Mapping[str, str],
    taints: Sequence[Mapping[str, str]],
) -> str:
    """Start a node, numbered from 1, with what was prepared; return its name once it is ready. Raises LabError."""
    name, layout = f"machine-{number}", own.layout
    root, template = layout.data(f"{name}-containerd"), layout.data(f"{_TEMPLATE}-containerd")
    # Layers are only read, so nodes may share their files; but each writes to its databases.
    run(["cp", "--archive", "--link", str(template), str(root)])
    for database in template.rglob("*.db"):
        copied = root / database.relative_to(template)
        run(["cp", "--archive", "--remove-destination", str(database), str(copied)])
    started = _containerd(own, name, number, machine)
    pki.add_kubelet(layout, own.addresses, f"{name}-kubelet", name)
    write(layout.config(f"{name}-kubelet.json"), _kubelet_config(own, name, number, machine, taints))
    told = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    kubelet = Program(
        "kubelet",
        "kubernetes",
        (
            f"--config={layout.config(f'{name}-kubelet.json')}",
            f"--kubeconfig={layout.credentials(f'{name}-kubelet')}",
            f"--root-dir={layout.data(f'{name}-kubelet')}",
            f"--hostname-override={name}",
            f"--node-ip={own.addresses.cloud}",
            f"--node-labels={told}",
        ),
        node=name,
        within=_beside(own, started),
    )
    own.start(kubelet)
    _wait(own, name, kubelet)
    return name


def _kubelet_config(
    own: OwnCluster, name: str, number: int, machine: Machine, taints: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    return kubelet_config(own.layout, f"{name}-kubelet", own.cgroup(name)) | {
        "port": _KUBELET_PORT + number,  # beside that of the first node
        "healthzPort": 0,
        # A kubelet removes the logs of pods that are not its own.
        "podLogsDir": str(own.layout.data(f"{name}-pod-logs")),
        "maxPods": machine.pods,
        "kubeReserved": machine.reserved,
        "evictionHard": _EVICTION,
        "registerWithTaints": [dict(each) for each in taints],
        "nodeStatusUpdateFrequency": "1s",  # a device is told of with the next one
    }


def _containerd(own: OwnCluster, node: str, number: int = 0, machine: Machine | None = None) -> Program:
    """Start a node's container runtime, in a mount namespace of its own, and wait until it answers."""
    layout = own.layout
    network, config = layout.config(f"{node}-cni"), layout.config(f"{node}-containerd.toml")
    cgroups.make(own.cgroup(node), in_all=True)
    write_pod_network(network, f"cni{number}", f"100.64.{number}.0/24")
    told = containerd_config(
        layout.data(f"{node}-containerd"),
        network,
        runc=binaries("runc") / "runc",
        cni=binaries("cni"),
        sandbox=reference("pause"),
    )
    config.write_text(told, encoding="utf-8")
    mounts = [f"mount -t tmpfs -o mode=755 tmpfs {each}" for each in HIDDEN]
    mounts += ["mkdir -p /run/containerd", "mount -t tmpfs -o mode=755 tmpfs /run/containerd"]
    if machine:
        mounts += _appearance(layout.data(f"{node}-appearance"), machine)
        files = layout.data(f"{node}-kubelet")
        files.mkdir()
        mounts.append(f"mount -t tmpfs -o mode=750,size={machine.disk_kib}k tmpfs {files}")
    script = " && ".join([*mounts, 'exec "$@"'])
    program = Program(
        "containerd",
        "containerd",
        (f"--config={config}",),
        node=node,
        within=("unshare", "--mount", "--", "sh", "-c", script, "sh"),
    )
    own.start(program)
    deadline = time.monotonic() + _SEEN_S
    while True:
        try:
            _ctr(own, program, "version")
        except LabError:
            if time.monotonic() > deadline:
                raise LabError(f"containerd of {node}: {own.last_words(program)}") from None
            time.sleep(0.1)
        else:
            return program


def _appearance(folder: Path, machine: Machine) -> list[str]:
    """Write what the kernel is to tell; return the commands that put it in place."""
    for number in range(machine.vcpus):
        about = folder / "cpu" / f"cpu{number}" / "topology"
        about.mkdir(parents=True)
        (about / "core_id").write_text(f"{number // 2}\n", encoding="ascii")
        (about / "physical_package_id").write_text("0\n", encoding="ascii")
    # All of them count; but processes can only be bound to those that are real.
    (folder / "cpu" / "online").write_text(
        Path(_CPUS, "online").read_text(encoding="ascii"), encoding="ascii"
    )
    (folder / "node").mkdir()  # without it, cAdvisor counts the processors themselves
    (folder / "meminfo").write_text(
        f"MemTotal: {machine.memory_kib} kB\nMemAvailable: {machine.memory_kib} kB\nSwapTotal: 0 kB\n",
        encoding="ascii",
    )
    places = {"cpu": _CPUS, "node": _NUMA, "meminfo": _MEMORY}
    return [f"mount --bind {folder / name} {place}" for name, place in places.items()]


def _beside(own: OwnCluster, program: Program) -> tuple[str, ...]:
    """Return the command that enters the mount namespace of a program that runs."""
    pid = own.process(program)
    if pid is None:
        raise LabError(f"{program.title} ended: {own.last_words(program)}")
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (numbers,) = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
    return ("nsenter", f"--mount=/proc/{numbers[-1]}/ns/mnt", "--")  # its number in the cloud


def _ctr(own: OwnCluster, containerd: Program, *arguments: str) -> str:
    command = [str(binaries("containerd") / "ctr"), f"--address={SOCKET}", "--namespace=k8s.io"]
    return own.space.run([*_beside(own, containerd), *command, *arguments], timeout_s=_IMPORT_S)


def _stop(own: OwnCluster, program: Program) -> None:
    deadline = time.monotonic() + _SEEN_S
    while (pid := own.process(program)) is not None:
        os.kill(pid, signal.SIGTERM)
        if time.monotonic() > deadline:
            raise LabError(f"{program.title} does not end")
        time.sleep(0.1)


def _wait(own: OwnCluster, name: str, kubelet: Program) -> None:
    deadline = time.monotonic() + _READY_S
    while not own.kubectl.succeeds("wait", "--for=condition=Ready", f"node/{name}", "--timeout=2s"):
        own.require_alive(kubelet)
        if time.monotonic() > deadline:
            raise LabError(f"{name} is not ready after {_READY_S:.0f} s: {own.last_words(kubelet)}")
        time.sleep(0.2)
