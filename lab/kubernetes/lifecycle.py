"""Creates, repairs and removes the cloud's cluster."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bootstrap.console import say
from lab import LabError, cgroups, lab_cache, namespaces
from lab.images import image, reference
from lab.kubernetes import addons, control_plane, external_cluster, network, node, pki
from lab.kubernetes.cluster import Cluster, OwnCluster, binaries
from lab.kubernetes.layout import Layout
from lab.kubernetes.start import first_start, mend
from lab.machine import give_to_caller
from lab.premises.addresses import Addresses
from lab.record import Record
from lab.side import cloud_of
from lab.teardown import anything_of, take_away

if TYPE_CHECKING:
    from pathlib import Path

    from lab.premises.lifecycle import Premises

_GROUPS = ("kubernetes", "etcd", "containerd", "runc", "cni", "helm", "jobset", "kueue")


def bring_up(folder: Path, premises: Premises) -> Cluster:
    """Create the cluster outside these premises; if it is already up, restart ended programs.

    `$LAB_KUBECONFIG` selects an external cluster, used unchanged. The caller holds the folder's lock. Raises
    LabError; what was started is then left for inspection, and removed by the next run.
    """
    side = cloud_of(folder)
    if external_cluster.named():
        if external_cluster.kept(side) is None and anything_of(side):
            raise LabError(
                "LAB_KUBECONFIG is set, but the lab's own cluster is up", remedy="make lab-down first"
            )
        return external_cluster.take(side)
    if external_cluster.kept(side):
        tear_down(folder)
    record = Record.load(side)
    if record is None or record.phase != "up" or namespaces.existing(record) is None:
        if anything_of(side):
            say("a killed run, or a restart of the machine, left a cluster behind: removing it")
            tear_down(folder)
        record = _begin(side.folder, premises)
    else:
        mend(_own(record))
    return running(folder)


def running(folder: Path) -> Cluster:
    """Return the running cluster. Raises LabError if there is none."""
    side = cloud_of(folder)
    if found := external_cluster.kept(side):
        return found
    record = Record.load(side)
    if record is None or record.phase != "up" or namespaces.existing(record) is None:
        raise LabError("the lab's cluster is not up", remedy="make lab")
    own = _own(record)
    return Cluster(own.kubectl, own)


def tear_down(folder: Path) -> None:
    """Remove the cluster, whatever a killed run left of it, and check. The caller holds the folder's lock.

    An external cluster stays unchanged. Raises LabError naming what is left.
    """
    side = cloud_of(folder)
    record = Record.load(side)
    if record:
        held = namespaces.existing(record)
        record.stop(held.inhabitants() if held else [])
    take_away(record, side)


def _own(record: Record) -> OwnCluster:
    held = namespaces.existing(record)
    if held is None:
        raise LabError("the cluster's namespaces are gone", remedy="make lab")
    return OwnCluster(Layout(record.side), held, Addresses(record.network))


def _begin(folder: Path, premises: Premises) -> Record:
    """Create programs, namespaces, links and certificates; then start."""
    if reason := network.lacking():
        raise LabError(reason)
    side = cloud_of(folder)
    require_visible(folder, lab_cache())
    archives = {name: image(name) for name in addons.IMAGES}
    for group in _GROUPS:
        binaries(group)
    record = Record(side=side, network=premises.addresses.network)
    record.save()
    cgroups.make(side.cgroup, in_all=True)
    held = namespaces.create(record)
    for hidden in node.HIDDEN:
        held.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", hidden])
    own = OwnCluster(Layout(side), held, network.attach(record, held, premises.space))
    _write_files(own)
    first_start(own, archives)
    give_to_caller(side.home, own.layout.kubeconfig)
    record.phase = "up"
    record.save()
    return record


def _write_files(own: OwnCluster) -> None:
    layout = own.layout
    layout.make_folders()
    shutil.copyfile(binaries("kubernetes") / "kubectl", layout.kubectl)
    layout.kubectl.chmod(0o755)
    pki.make_certificates(layout, own.addresses)
    pki.write_kubeconfigs(layout, own.addresses)
    control_plane.write_token_webhook(layout)
    runc, cni = binaries("runc") / "runc", binaries("cni")
    node.write_configs(layout, runc=runc, cni=cni, sandbox=reference("pause"))


def require_visible(*paths: Path) -> None:
    """Raise LabError if one of the folders is below a path hidden from the cloud."""
    for path in paths:
        for hidden in node.HIDDEN:
            if path.is_relative_to(hidden):
                raise LabError(
                    f"{path}: folders below {hidden} are not visible in the cloud",
                    remedy="set LAB_STATE or XDG_CACHE_HOME to another folder",
                )
