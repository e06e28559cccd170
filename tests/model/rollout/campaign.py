"""A simulated fleet under a real rollout: catalogue, keys, reports and assignments are real; only sites are played.

A site visits at its own times, takes what the signed documents assign to it, and reports once a minute. Reports get
lost, some sites go away for a while and report nothing meanwhile, and clocks of sites are wrong.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scenario_model.catalogue.documents import Assignment, ring_target, site_target
from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.catalogue.shelf import RINGS, TARGETS
from scenario_model.exchange.contract import BOUNDS_MS, Drift, Message, Metrics, encode
from scenario_model.exchange.inbox import Inbox
from scenario_model.release import channel
from scenario_model.release.store import FolderStore
from scenario_model.rollout.settings import RolloutSettings
from scenario_model.rollout.step import Rollout
from scenario_model.signing import keys

if TYPE_CHECKING:
    from tests.model.catalogue.world import World

MINUTE = 60.0
FAULTS = ("broken", "slow", "wrong")


@dataclass
class Site:
    """One site. `sick`: whether the bad release fails here; `away_until`: no visits and no reports before."""

    name: str
    ring: str
    sick: bool
    away_until: float = 0.0
    serves: str = ""
    sent: int = 0
    clock: float = 0.0
    had: set[str] = field(default_factory=set)


class Campaign:
    """`fault`: what the bad release does on `share` of the sites, or "" for a good one."""

    def __init__(
        self, world: World, seed: int, *, sites: int, first: int, fault: str = "", share: float = 0.0
    ) -> None:
        self.dice, self.fault, self.now = random.Random(seed), fault, 1_800_000_000.0
        self.store, self.keeper, self.signer = FolderStore(world.store), world.keeper(), world.online
        self.key = keys.load_private(world.folder / "keys" / "online.pem")
        self.release_key = keys.load_public(world.key_pair.public)
        self.good, self.new = world.releases[1], world.releases[2]
        enrolments = Enrolments(self.store)
        self.sites = []
        for number in range(sites):
            name, ring = f"site-{number:04d}", "first" if number < first else "all"
            enrolments.enrol(name, enrolments.invite(name, ring, self.now + 1), self.now)
            site = Site(name, ring, self.dice.random() < share, clock=self.dice.choice([0.0, 0.0, -2e5, 2e5]))
            self.sites.append(site)
        self.rollout = Rollout(
            name="assistant",
            settings=RolloutSettings(rings=("first", "all"), soak_seconds=600.0),
            store=self.store,
            keeper=self.keeper,
            inbox=Inbox(self.store, f"campaign-{seed}"),
            enrolments=enrolments,
            key=self.key,
            signer=self.signer,
            release_key=self.release_key,
        )

    def want(self, release: str) -> None:
        at = channel.stamp() | {"at": "2027-01-01T00:00:00+00:00"}
        channel.promote(self.store, release, "rollout", self.key, **at, release_key=self.release_key)

    def assigned(self) -> dict[str, str]:
        """What each target of the newest signed metadata says; a site's own precedes its ring's."""
        found = {}
        for path, target in self.keeper.role(RINGS).signed.targets.items():
            content = self.store.read(f"{TARGETS}/{target.get_prefixed_paths()[0]}") or b""
            target.verify_length_and_hashes(content)
            name = path.partition("/")[2].removesuffix(".json")
            found[path] = Assignment.decoded(content, name).release
        return found

    def minute(self) -> str:
        """A minute passes: sites visit, in any order, and report; then one step of the rollout."""
        self.now += MINUTE
        given, batch = self.assigned(), {}
        for site in self.dice.sample(self.sites, len(self.sites)):
            if site.away_until > self.now:
                continue
            if not site.serves or self.dice.random() < 0.7:  # it visits, and had time to download
                site.serves = given.get(site_target(site.name)) or given.get(ring_target(site.ring), "")
                site.had.add(site.serves)
            if site.serves:
                messages = self.messages(site)
                first, site.sent = site.sent + 1, site.sent + len(messages)
                if self.dice.random() >= 0.1:
                    batch[site.name] = [(first + n, encode(each)) for n, each in enumerate(messages)]
        self.rollout.inbox.take(self.now, batch)
        decision = self.rollout.step(self.now + 1)
        return f"{decision.action} {decision.ring}".strip()

    def leave(self, share: float, minutes: float) -> None:
        """A share of the sites goes away, for up to so many minutes from now."""
        for site in self.sites:
            if self.dice.random() < share:
                site.away_until = self.now + self.dice.uniform(0, minutes) * MINUTE

    def messages(self, site: Site) -> list[Message]:
        """What a site says of its last minute."""
        at = self.now + site.clock
        bad = self.fault if site.sick and site.serves == self.new else ""
        place = 4 if bad == "slow" else 3
        times = tuple(50 if n == place else 0 for n in range(len(BOUNDS_MS) + 1))
        metrics = Metrics(
            at=at,
            release=site.serves,
            seconds=MINUTE,
            answered=50,
            failed=10 if bad == "broken" else 0,
            first_token_ms=times,
        )
        if bad != "wrong":
            return [metrics]
        return [metrics, Drift(at=at, release=site.serves, window_seconds=300, units=50, asks="retraining")]

    def until(self, *actions: str, minutes: int) -> str:
        """Let time pass until the rollout says one of these."""
        for _ in range(minutes):
            if (done := self.minute()) in actions:
                return done
        raise AssertionError(f"none of {actions} within {minutes} minutes; the last was {done}")

    def hurt(self) -> list[Site]:
        """Sites that ever served the new release."""
        return [site for site in self.sites if self.new in site.had]
