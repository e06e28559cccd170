"""Creates, resizes and removes the premises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootstrap.console import Progress, say
from lab import LabError, cgroups
from lab.premises import access, namespaces, network
from lab.premises.addresses import MAX_HOSTS, Addresses, host_name
from lab.premises.debian_tree import base_tree
from lab.premises.host import Host
from lab.premises.record import PremisesRecord, load
from lab.side import premises_of
from lab.teardown import anything_of, take_away

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEFAULT_HOSTS = 2


@dataclass(frozen=True, slots=True)
class Premises:
    """Running premises."""

    hosts: list[Host]
    space: namespaces.PremisesNamespaces
    addresses: Addresses

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return access.inventory_of(self.space.folder)


def bring_up(folder: Path, hosts: int | None = None, *, over: Sequence[Path] = ()) -> Premises:
    """Create premises with this many hosts, or resize running ones; None keeps the number (default: 2).

    Newly started hosts get the trees in `over` on top of Debian's, the topmost first; these must not change
    while the hosts are up. The caller holds the folder's lock. Raises LabError; then nothing is left, or, if
    a host does not start, everything that shows why.
    """
    if hosts is not None and not 1 <= hosts <= MAX_HOSTS:
        raise LabError(f"invalid number of hosts {hosts}: use 1 to {MAX_HOSTS}")
    record = load(folder)
    held = namespaces.existing(record) if record and record.phase == "up" else None
    if record is None or held is None:
        if anything_of(premises_of(folder)):
            say("a killed run, or a restart of the machine, left a lab behind: removing it")
            tear_down(folder)
        try:
            record, held = _begin(folder)
        except LabError:
            tear_down(folder)
            raise
    number = hosts or len(record.hosts) or DEFAULT_HOSTS
    premises = _settle(record, held, [host_name(n) for n in range(1, number + 1)], over)
    record.phase = "up"
    record.save()
    return premises


def running(folder: Path) -> Premises:
    """Return the running premises. Raises LabError if there are none."""
    record = load(folder)
    held = namespaces.existing(record) if record and record.phase == "up" else None
    if record is None or held is None:
        raise LabError("the lab is not up", remedy="make lab")
    addresses = Addresses(record.network)
    return Premises([Host(name, folder, addresses) for name in record.hosts], held, addresses)


def _begin(folder: Path) -> tuple[PremisesRecord, namespaces.PremisesNamespaces]:
    base_tree()
    record = PremisesRecord(side=premises_of(folder))
    record.save()
    access.make_keys(folder)
    cgroups.make(record.side.cgroup)
    held = namespaces.create(record)
    network.lay_out(record, held)
    return record, held


def _settle(
    record: PremisesRecord, held: namespaces.PremisesNamespaces, wanted: list[str], over: Sequence[Path]
) -> Premises:
    """Remove surplus and dead hosts, start missing ones, write the inventory."""
    addresses = Addresses(record.network)
    known = [Host(name, record.folder, addresses) for name in record.hosts]
    kept = [host for host in known if host.name in wanted and _answers(host)]
    if kept != known:
        access.hang_up(record.folder)  # a persistent connection would outlive its host
    for host in known:
        if host not in kept:
            say(f"removing {host.name}")
            host.remove(held)
    record.hosts = [host.name for host in kept]
    record.save()
    hosts = [Host(name, record.folder, addresses) for name in wanted]
    if new := [host for host in hosts if host not in kept]:
        _start(record, held, new, [*over, base_tree()])
    # Keys are pinned before the first connection.
    access.write_access(record.folder, wanted, addresses, {host.name: host.key for host in hosts})
    progress = Progress(f"{len(new)} host{'s' if len(new) > 1 else ''}")
    for host in new:
        progress.update(f"waiting for {host.name}")
        host.wait()
    if new:
        progress.done("up")
    return Premises(hosts, held, addresses)


def _answers(host: Host) -> bool:
    """Whether a host of an earlier run is up; waits for one that is still booting."""
    if not host.running:
        return False
    try:
        host.wait()
    except LabError as error:
        say(str(error))
        return False
    return True


def _start(
    record: PremisesRecord, held: namespaces.PremisesNamespaces, new: list[Host], trees: Sequence[Path]
) -> None:
    for host in new:
        say(f"starting {host.name}")
        record.hosts.append(host.name)
        record.save()
        host.start(trees, held)


def tear_down(folder: Path) -> None:
    """Remove all of the premises, whatever a killed run left of them, and check.

    The caller holds the folder's lock. Raises LabError naming what is left.
    """
    record = load(folder)
    if record:
        held = namespaces.existing(record)
        record.stop(held.inhabitants() if held else [])
        access.hang_up(folder)
    take_away(record, premises_of(folder))
