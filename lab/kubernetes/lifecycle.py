"""The cloud from nothing to a cluster that schedules, from half alive to whole, and back to nothing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from engine.console import Progress, say
from lab import LabError, cgroups, lab_cache, space
from lab.images import image
from lab.kubernetes import addons, control_plane, fake_nodes, given, network, node, pki
from lab.kubernetes.cluster import Cluster, OwnCluster, binaries
from lab.kubernetes.kubectl import Kubectl
from lab.kubernetes.layout import Layout, Program, image_name
from lab.machine import give_to_caller
from lab.premises.addresses import Addresses
from lab.record import Record
from lab.side import cloud_of
from lab.teardown import anything_of, take_away

if TYPE_CHECKING:
    from pathlib import Path

    from lab.premises.lifecycle import Premises

GROUPS = ("kubernetes", "etcd", "containerd", "runc", "cni", "helm", "jobset", "kueue")
_START_S = 120.0
"""How long the control plane or the node may take to answer, in seconds; a few on an idle machine."""


def bring_up(folder: Path, premises: Premises) -> Cluster:
    """Make the cluster outside of these premises; where it is up already, start what has ended.

    `$LAB_KUBECONFIG` names another cluster, which is taken as it is. The caller holds the folder's lock.
    Raises LabError; what was started is then left for a look, and cleared away by the next run.
    """
    side = cloud_of(folder)
    if given.named():
        if given.kept(side) is None and anything_of(side):
            raise LabError(
                "LAB_KUBECONFIG is set, and a cluster of the lab's own is up", remedy="make lab-down first"
            )
        return given.take(side)
    if given.kept(side):
        tear_down(folder)
    record = Record.load(side)
    if record is None or record.phase != "up" or space.existing(record) is None:
        if anything_of(side):
            say("a run that was killed, or a restart of the machine, left a cluster behind: clearing it away")
            tear_down(folder)
        record = _begin(side.folder, premises)
    else:
        _mend(_own(record))
    return running(folder)


def running(folder: Path) -> Cluster:
    """Return the cluster that is up. Raises LabError where there is none."""
    side = cloud_of(folder)
    if found := given.kept(side):
        return found
    record = Record.load(side)
    if record is None or record.phase != "up" or space.existing(record) is None:
        raise LabError("the lab's cluster is not up", remedy="make lab")
    own = _own(record)
    return Cluster(_kubectl(own), own)


def tear_down(folder: Path) -> None:
    """Remove the cluster, whatever a killed run left of it, and check. The caller holds the folder's lock.

    A cluster that was given stays as it is. Raises LabError naming what is left.
    """
    side = cloud_of(folder)
    record = Record.load(side)
    if record:
        held = space.existing(record)
        record.stop(held.inhabitants() if held else [])
    take_away(record, side)


def _own(record: Record) -> OwnCluster:
    held = space.existing(record)
    if held is None:
        raise LabError("the cluster's namespaces are gone", remedy="make lab")
    return OwnCluster(Layout(record.side), held, Addresses(record.network))


def _kubectl(own: OwnCluster) -> Kubectl:
    return Kubectl(binaries("kubernetes") / "kubectl", own.layout.kubeconfig)


def _begin(folder: Path, premises: Premises) -> Record:
    """Make everything that there is one of: programs, namespaces, links, certificates; then start."""
    if reason := network.lacking():
        raise LabError(reason)
    side = cloud_of(folder)
    _require_visible(folder, lab_cache())
    archives = {name: image(name) for name in addons.IMAGES}
    for group in GROUPS:
        binaries(group)
    record = Record(side=side, network=premises.addresses.network)
    record.save()
    cgroups.make(side.cgroup, in_all=True)
    held = space.create(record)
    for hidden in node.HIDDEN:
        held.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", hidden])
    addresses = network.attach(record, held, premises.space)
    layout = Layout(side)
    layout.make_folders()
    pki.make_certificates(layout, addresses)
    pki.write_kubeconfigs(layout, addresses)
    control_plane.write_token_webhook(layout)
    sandbox = image_name("pause")
    node.write_configs(layout, runc=binaries("runc") / "runc", cni=binaries("cni"), sandbox=sandbox)
    own = OwnCluster(layout, held, addresses)
    _first_start(own, archives)
    give_to_caller(side.home, layout.kubeconfig)
    record.phase = "up"
    record.save()
    return record


def _require_visible(*paths: Path) -> None:
    for path in paths:
        for hidden in node.HIDDEN:
            if path.is_relative_to(hidden):
                raise LabError(
                    f"{path}: what is below {hidden} is not seen in the cloud",
                    remedy="set LAB_STATE or XDG_CACHE_HOME to another folder",
                )


def _programs(own: OwnCluster) -> tuple[list[Program], list[Program]]:
    """List what starts at once, and what waits for the API server."""
    layout, addresses = own.layout, own.addresses
    first = [
        control_plane.etcd(layout),
        node.containerd(layout),
        control_plane.api_server(layout, addresses),
    ]
    then = [
        control_plane.controller_manager(layout),
        control_plane.scheduler(layout),
        node.kubelet(layout, addresses),
        node.kube_proxy(layout),
    ]
    return first, then


def _first_start(own: OwnCluster, archives: dict[str, Path]) -> None:
    progress, kubectl = Progress("cluster"), _kubectl(own)
    first, then = _programs(own)
    say("starting the cluster: etcd, Kubernetes, containerd; CoreDNS, JobSet, Kueue")
    for program in first:
        own.start(program)
    with ThreadPoolExecutor(1) as pool:
        importing = pool.submit(_import_images, own, archives)
        _wait_for(own, first, "the API server", progress, "get", "--raw", "/readyz")
        for program in then:
            own.start(program)
        progress.update("installing")
        addons.install(own.layout, kubectl)
        importing.result()
    progress.update("waiting for JobSet and Kueue")
    addons.wait_until_ready(kubectl)
    progress.done("up")


def _mend(own: OwnCluster) -> None:
    """Start what has ended since: as a service manager would."""
    first, then = _programs(own)
    kwok = [fake_nodes.kwok(own.layout)] if fake_nodes.wanted(own.layout) else []
    ended = [each for each in (*first, *then, *kwok) if own.process(each) is None]
    for program in ended:
        say(f"starting {program.name}, which had ended")
        own.start(program)
    if ended:
        _wait_for(own, first, "the API server", Progress("cluster"), "get", "--raw", "/readyz")
        addons.wait_until_ready(_kubectl(own))


def _wait_for(own: OwnCluster, alive: list[Program], what: str, progress: Progress, *asked: str) -> None:
    deadline = time.monotonic() + _START_S
    kubectl = _kubectl(own)
    while not kubectl.succeeds(*asked, "--request-timeout=2s"):
        progress.update(f"waiting for {what}")
        for program in alive:
            own.require_alive(program)
        if time.monotonic() > deadline:
            words = " || ".join(f"{each.name}: {own.last_words(each)}" for each in alive)
            raise LabError(f"{what} does not answer within {_START_S:.0f} s: {words}")
        time.sleep(0.2)


def _import_images(own: OwnCluster, archives: dict[str, Path]) -> None:
    """Hand the images to containerd once it listens."""
    ctr = [str(binaries("containerd") / "ctr"), f"--address={node.SOCKET}", "--namespace=k8s.io"]
    deadline = time.monotonic() + _START_S
    while True:
        try:
            own.space.run([*ctr, "version"])
            break
        except LabError:
            own.require_alive(node.containerd(own.layout))
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    for archive in archives.values():
        own.space.run([*ctr, "image", "import", str(archive)], timeout_s=300)
