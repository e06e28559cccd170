"""Carries a trial out: gives sites a release of their own, writes down which, and lets them follow their ring again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenario_model.rollout import journal
from scenario_model.rollout.decide import Tried
from scenario_model.rollout.site_targets import assign_sites, assigned_sites, release_sites

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.catalogue.keeper import Keeper
    from scenario_model.catalogue.signers import CatalogueSigner
    from scenario_model.release.store import Store
    from scenario_model.signing.keys import SigningKey


@dataclass(frozen=True)
class TrialRun:
    """Trials of releases in one catalogue. Every method may be repeated, and goes on where a killed one stopped."""

    store: Store
    keeper: Keeper
    key: SigningKey
    signer: CatalogueSigner

    def log(self, release: str) -> list[journal.Entry]:
        """What happened to a release so far."""
        return journal.entries(self.store, release, self.key.public_key())

    def tried(self, release: str, trial: journal.Trial | None) -> Tried:
        """What a decision has to know of sites with a release of their own."""
        mine = trial.sites if trial and trial.open else frozenset[str]()
        return Tried(release, mine, frozenset(assigned_sites(self.keeper)) - mine)

    def begin(self, release: str, sites: Sequence[str], floor: int, at: str, why: str, *, after: int) -> None:
        """Let more sites try a release. The journal first: what a site serves is always in it.

        `after`: the length of the log by which they were chosen. Raises Refused if it has grown: another step then let
        sites try it, which this one took for sites of others, and would let as many more.
        """
        journal.append(self.store, release, self.key, "try", at=at, why=why, sites=sites, after=after)
        assign_sites(self.keeper, self.signer, sites, release, floor)

    def resume(self, release: str, trial: journal.Trial, floor: int) -> None:
        """Assign again what a killed step had written down only."""
        given = assigned_sites(self.keeper)
        missing = [site for site in sorted(trial.sites) if site not in given]
        if missing:
            assign_sites(self.keeper, self.signer, missing, release, floor)

    def end(self, release: str, at: str, why: str) -> None:
        """Let the sites that try a release follow their ring again, if any do."""
        trial = journal.last_trial(self.log(release))
        if trial and trial.open:
            release_sites(self.keeper, self.signer, trial.sites, release)
            journal.append(self.store, release, self.key, "end", at=at, why=why)

    def end_others(self, earlier: Sequence[str], at: str) -> None:
        """End trials of releases that nobody wants any more. `earlier`: what was wanted before, the newest first."""
        for release in dict.fromkeys(earlier):
            trial = journal.last_trial(self.log(release))
            if trial and not trial.open:
                return
            self.end(release, at, "another release is wanted")
