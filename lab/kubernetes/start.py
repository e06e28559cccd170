"""Starts the cluster's programs in order, loads their images, and installs the add-ons."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bootstrap.console import Progress, say
from lab import LabError
from lab.kubernetes import addons, control_plane, fake_nodes, node

if TYPE_CHECKING:
    from pathlib import Path

    from lab.kubernetes.cluster import OwnCluster
    from lab.kubernetes.layout import Program

_START_S = 120.0
"""Timeout of the control plane or the node, in seconds; a few on an idle machine."""


def _programs(own: OwnCluster) -> tuple[list[Program], list[Program]]:
    """List the programs that start at once, and those that wait for the API server."""
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


def first_start(own: OwnCluster, archives: dict[str, Path]) -> None:
    """Start everything, and wait until it answers. Raises LabError with the last output of an ended program."""
    progress, kubectl = Progress("cluster"), own.kubectl
    first, then = _programs(own)
    queueing = ", JobSet, Kueue" if addons.queueing() else ""
    say(f"starting the cluster: etcd, Kubernetes, containerd; CoreDNS{queueing}")
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
    progress.update("waiting for the add-ons")
    addons.wait_until_ready(own.layout, kubectl)
    progress.done("up")


def mend(own: OwnCluster) -> None:
    """Restart ended programs, as a service manager would. Raises LabError."""
    first, then = _programs(own)
    kwok = [fake_nodes.kwok(own.layout)] if fake_nodes.wanted(own.layout) else []
    ended = [each for each in (*first, *then, *kwok) if own.process(each) is None]
    for program in ended:
        say(f"restarting {program.name}, which had ended")
        own.start(program)
    if ended:
        _wait_for(own, first, "the API server", Progress("cluster"), "get", "--raw", "/readyz")
        addons.wait_until_ready(own.layout, own.kubectl)


def _wait_for(own: OwnCluster, alive: list[Program], what: str, progress: Progress, *asked: str) -> None:
    deadline = time.monotonic() + _START_S
    kubectl = own.kubectl
    while not kubectl.succeeds(*asked, "--request-timeout=2s"):
        progress.update(f"waiting for {what}")
        for program in alive:
            own.require_alive(program)
        if time.monotonic() > deadline:
            words = " || ".join(f"{each.name}: {own.last_words(each)}" for each in alive)
            raise LabError(f"{what} does not answer within {_START_S:.0f} s: {words}")
        time.sleep(0.2)


def _import_images(own: OwnCluster, archives: dict[str, Path]) -> None:
    """Import the images into containerd once it listens."""
    deadline = time.monotonic() + _START_S
    while True:
        try:
            own.ctr("version")
            break
        except LabError:
            own.require_alive(node.containerd(own.layout))
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    for archive in archives.values():
        own.load(archive)
