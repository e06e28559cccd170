"""The premises from nothing to up, from up to another number of hosts, and from anything back to nothing."""

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
    """Premises that are up."""

    hosts: list[Host]
    space: namespaces.PremisesNamespaces
    addresses: Addresses

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return access.inventory_of(self.space.folder)


def bring_up(folder: Path, hosts: int | None = None, *, over: Sequence[Path] = ()) -> Premises:
    """Make premises with this many hosts, or change those that are up; None keeps the number, or takes 2.

    Hosts that are started now have the trees in `over` laid over Debian's, the topmost first; nobody may
    change these while the hosts are up. The caller holds the folder's lock. Raises LabError; then nothing is
    left, or, where a host does not start, all that shows why.
    """
    if hosts is not None and not 1 <= hosts <= MAX_HOSTS:
        raise LabError(f"{hosts} hosts: 1 to {MAX_HOSTS} are possible")
    record = load(folder)
    held = namespaces.existing(record) if record and record.phase == "up" else None
    if record is None or held is None:
        if anything_of(premises_of(folder)):
            say("a run that was killed, or a restart of the machine, left a lab behind: clearing it away")
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
    """Return the premises that are up. Raises LabError where none are."""
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
    """Remove the hosts that are too many or dead, start those that are missing, write the inventory."""
    addresses = Addresses(record.network)
    known = [Host(name, record.folder, addresses) for name in record.hosts]
    kept = [host for host in known if host.name in wanted and _answers(host)]
    if kept != known:
        access.hang_up(record.folder)  # a connection that is kept open would outlive its host
    for host in known:
        if host not in kept:
            say(f"removing {host.name}")
            host.remove(held)
    record.hosts = [host.name for host in kept]
    record.save()
    hosts = [Host(name, record.folder, addresses) for name in wanted]
    if new := [host for host in hosts if host not in kept]:
        _start(record, held, new, [*over, base_tree()])
    # The keys are pinned before the first connection is made.
    access.write_access(record.folder, wanted, addresses, {host.name: host.key for host in hosts})
    progress = Progress(f"{len(new)} host{'s' if len(new) > 1 else ''}")
    for host in new:
        progress.update(f"waiting for {host.name}")
        host.wait()
    if new:
        progress.done("up")
    return Premises(hosts, held, addresses)


def _answers(host: Host) -> bool:
    """Whether a host that a former run started is up; one that is still starting gets the time to."""
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
    """Remove all of the premises, whatever a run that was killed at any point left of them, and check.

    The caller holds the folder's lock. Raises LabError naming what is left.
    """
    record = load(folder)
    if record:
        held = namespaces.existing(record)
        record.stop(held.inhabitants() if held else [])
        access.hang_up(folder)
    take_away(record, premises_of(folder))
