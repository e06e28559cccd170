"""Assignments of single sites in a catalogue, many in one signed version; a ring's assignment is `Keeper.assign`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuf.api.metadata import Metadata, TargetFile, Targets

from scenario_model.catalogue.documents import Assignment, site_target
from scenario_model.catalogue.shelf import RINGS, TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scenario_model.catalogue.keeper import Keeper
    from scenario_model.catalogue.signers import CatalogueSigner

_PREFIX = "sites/"


def assigned_sites(keeper: Keeper) -> dict[str, str]:
    """The release of every site that has an assignment of its own. Raises Refused for one that is damaged."""
    found = {}
    for path, target in keeper.role(RINGS).signed.targets.items():
        if path.startswith(_PREFIX):
            site = path.removeprefix(_PREFIX).removesuffix(".json")
            content = keeper.shelf.store.read(f"{TARGETS}/{target.get_prefixed_paths()[0]}") or b""
            target.verify_length_and_hashes(content)
            found[site] = Assignment.decoded(content, site).release
    return found


def assign_sites(
    keeper: Keeper, signer: CatalogueSigner, sites: Iterable[str], release: str, floor: int
) -> bool:
    """Let sites have a listed release, whatever their ring has; False if they do. Visible after `refresh`."""
    keeper.require_listed(release)
    targets = {}
    for site in sites:
        content = Assignment(site, release, floor).encoded()
        target = TargetFile.from_data(site_target(site), content, ["sha256"])
        keeper.shelf.store.create(f"{TARGETS}/{target.get_prefixed_paths()[0]}", content)
        targets[target.path] = target
    former = keeper.role(RINGS).signed.targets
    if all(path in former and former[path].hashes == each.hashes for path, each in targets.items()):
        return False
    _write(keeper, signer, {**former, **targets})
    return True


def release_sites(keeper: Keeper, signer: CatalogueSigner, sites: Iterable[str], release: str) -> bool:
    """Let sites follow their ring again, unless somebody assigned them another release meanwhile."""
    mine = assigned_sites(keeper)
    gone = {site_target(site) for site in sites if mine.get(site) == release}
    if not gone:
        return False
    former = keeper.role(RINGS).signed.targets
    _write(keeper, signer, {path: each for path, each in former.items() if path not in gone})
    return True


def _write(keeper: Keeper, signer: CatalogueSigner, targets: dict[str, TargetFile]) -> None:
    former = keeper.role(RINGS).signed
    number = 1 + max(keeper.shelf.versions(RINGS))
    signed = Metadata(Targets(number, expires=former.expires, targets=targets))
    signed.sign(signer)
    delegator: Targets = keeper.role("targets").signed
    delegator.verify_delegate(RINGS, signed.signed_bytes, signed.signatures)
    keeper.shelf.add(RINGS, signed)
