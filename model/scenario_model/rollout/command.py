"""`scenario-model rollout`: publish, start, step, status, report."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from scenario_model import config, options
from scenario_model.catalogue.enrolment import Enrolments
from scenario_model.catalogue.keeper import Keeper
from scenario_model.catalogue.signers import CatalogueSigner
from scenario_model.describe import with_settings
from scenario_model.exchange.inbox import Inbox
from scenario_model.release import channel
from scenario_model.release.names import check_name
from scenario_model.release.stores import open_store
from scenario_model.report import drift_report
from scenario_model.rollout import publishing
from scenario_model.rollout.settings import PublishSettings, RolloutSettings
from scenario_model.rollout.sites_report import of_sites
from scenario_model.rollout.status import asking_now, rings_at, sites_now, trials_at
from scenario_model.rollout.step import ROLLOUT, Rollout
from scenario_model.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

_TIMES = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
# A site that was seen last before that is away, and when it was seen is not looked up.
_LOOK_BACK_SECONDS = 7 * 86_400.0
_release_public_key = click.option(
    "--release-public-key", type=options.FILE, required=True, help="Of the key that signs releases, PEM."
)


@click.group()
def command() -> None:
    """Lead a release from ring to ring on what sites report, and back if it is bad."""


@command.command()
@click.argument("name")
@options.store
@options.online_key
@_release_public_key
@click.option("--config", "path", type=options.FILE, help="JSON file; see below.")
@click.option("--floor", default=0, show_default=True, help="Number of the oldest release that may be taken.")
@options.as_json
@with_settings(RolloutSettings)
def step(
    name: str,
    store: str,
    online_key: str,
    release_public_key: Path,
    path: Path | None,
    floor: int,
    as_json: bool,
) -> None:
    """Do what is to be done now for releases called NAME, for a timer. Repeatable, and safe to kill."""
    opened, key = open_store(store), keys.signing_key(online_key)
    rollout = Rollout(
        name=check_name(name, "release"),
        settings=config.load_file(RolloutSettings, path) if path else RolloutSettings(),
        store=opened,
        keeper=Keeper(opened),
        inbox=Inbox(opened),
        enrolments=Enrolments(opened),
        key=key,
        signer=CatalogueSigner(key),
        release_key=keys.load_public(release_public_key),
    )
    done = rollout.step(time.time(), floor)
    words = (done.action, done.ring, ", ".join(done.sites), f"({done.why})", done.asks and f"; {done.asks}")
    click.echo(json.dumps(asdict(done)) if as_json else " ".join(filter(None, words)))


@command.command()
@click.argument("release", metavar="NAME@sha256:…")
@options.store
@options.online_key
@_release_public_key
@click.option(
    "--again", is_flag=True, help="Though it was halted: what sites said of it until now is forgotten."
)
@options.as_json
def start(
    release: str, store: str, online_key: str, release_public_key: Path, again: bool, as_json: bool
) -> None:
    """Let RELEASE, which the catalogue lists, be rolled out from the next step on."""
    opened, key = open_store(store), keys.signing_key(online_key)
    stamp = channel.stamp()
    Keeper(opened).require_listed(release)
    if again:
        publishing.begin_again(opened, release, key, **stamp)
    publishing.refuse_halted(opened, release, key)
    changed = channel.promote(
        opened,
        release,
        ROLLOUT,
        key,
        **stamp,
        release_key=keys.load_public(release_public_key),
    )
    text = f"{release} is to be rolled out{'' if changed else ' (unchanged)'}"
    click.echo(json.dumps({"release": release, "changed": changed}) if as_json else text)


@command.command()
@click.argument("name")
@options.store
@click.option("--online-public-key", type=options.FILE, required=True, help="Of the rollout's key, PEM.")
@click.option(
    "--at", type=click.DateTime(_TIMES), help="Rings as they were then, UTC; default: now, with all sites."
)
@click.option(
    "--present-seconds",
    default=900.0,
    show_default=True,
    help="A site that has said nothing for longer is away.",
)
@options.as_json
def status(
    name: str, store: str, online_public_key: Path, at: datetime | None, present_seconds: float, as_json: bool
) -> None:
    """Show which ring had which release of NAME at a time, since when and why; and what each site does now."""
    opened, now = open_store(store), time.time()
    then = at.replace(tzinfo=UTC) if at else datetime.fromtimestamp(now, UTC)
    key = keys.load_public(online_public_key)
    rings = rings_at(opened, check_name(name, "release"), key, then)
    told: dict[str, Any] = {
        "at": then.isoformat(timespec="seconds"),
        "rings": [asdict(each) for each in rings],
        "trials": [asdict(each) for each in trials_at(opened, name, key, then)],
    }
    if at is None:
        reports = Inbox(opened).arrived(now - _LOOK_BACK_SECONDS)
        sites = sites_now(reports, Enrolments(opened), now, present_seconds)
        told["sites"] = [asdict(each) for each in sites]
        told["asks"] = [str(each) for each in asking_now(sites, rings)]
    click.echo(json.dumps(told) if as_json else _table(told))


def _table(told: dict[str, Any]) -> str:
    lines = [
        f"ring {each['ring']}: {each['release']} since {each['since']} ({each['by']})"
        for each in told["rings"]
    ]
    lines += [
        " ".join(filter(None, (f"{each['at']} {each['action']} {each['release']}", *each["sites"])))
        + f" ({each['why']})"
        for each in told["trials"]
    ]
    lines += [
        f"site {each['site']} in {each['ring']}: {each['release'] or 'no release'}, {each['state']}"
        + (", asks for retraining" if (each["watch"] or {}).get("since") else "")
        for each in told.get("sites", [])
    ]
    lines += told.get("asks", [])
    return "\n".join(lines) or f"nothing had been rolled out by {told['at']}"


@command.command()
@click.argument("name")
@options.store
@click.option("--out", required=True, type=options.FILE, help="The report, a new file; -: standard output.")
@click.option(
    "--certificate", required=True, type=options.FILE, help="Signer's certificate: the catalogue's."
)
@click.option("--private-key", required=True, type=options.FILE, help="Its ECDSA key.")
@click.option("--config", "path", type=options.FILE, help="JSON file, that of `step`.")
def report(name: str, store: str, out: Path, certificate: Path, private_key: Path, path: Path | None) -> None:
    """Write a signed report of drift from what sites say of releases called NAME, for where models are trained."""
    opened, now = open_store(store), time.time()
    settings = config.load_file(RolloutSettings, path) if path else RolloutSettings()
    inbox, enrolments, since = Inbox(opened), Enrolments(opened), now - _LOOK_BACK_SECONDS
    made = of_sites(inbox, enrolments, check_name(name, "release"), settings, since, now)
    content = drift_report.signed(made, certificate, private_key)
    if str(out) == "-":
        click.echo(content, nl=False)
    else:
        drift_report.keep(out, content)
    told = made.sites
    words = f"{told.asking} of {told.watching} sites ask for {made.drift.asks}" if told else made.drift.asks
    click.echo(f"{out}: {made.drift.release}: {words}", err=str(out) == "-")


@command.command()
@click.option("--config", "path", required=True, type=options.FILE, help="JSON file; see below.")
@options.as_json
@with_settings(PublishSettings)
def publish(path: Path, as_json: bool) -> None:
    """Bring a release into a catalogue, which is created if there is none, and start its rollout.

    Where keys are apart, `catalogue create`, `catalogue list` and `rollout start` do the same in steps.
    """
    settings = config.load_file(PublishSettings, path)
    done = publishing.publish(settings)
    text = f"{settings.release} is to be rolled out{'' if done.changed else ' (unchanged)'}"
    click.echo(json.dumps(asdict(done)) if as_json else text)
