"""`scenario-model edge`: the agent of a site."""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import click

from scenario_model import config, options
from scenario_model.catalogue.enrolment import Invitation
from scenario_model.describe import with_settings
from scenario_model.edge.enrol import SETTINGS
from scenario_model.edge.enrol import enrol as join
from scenario_model.edge.settings import AgentSettings, EdgeSettings
from scenario_model.edge.site import Site
from scenario_model.edge.status import status as status_of
from scenario_model.signing.keys import load_public

if TYPE_CHECKING:
    from pathlib import Path

_FIRST_PAUSE_S = 1.0
_STANDARD_INPUT = "-"
_config = click.option(
    "--config", "path", required=True, type=options.FILE, help="JSON file, as `enrol` writes it; see below."
)
_options = click.option(
    "--options",
    "more",
    type=options.FILE,
    help="JSON file with settings of how the agent works, which go before those.",
)
_server = click.option("--server", help="Where the site's server answers on this host, https://…")
_metrics = click.option("--metrics", help="Where that server's metrics are read, http://…")


@click.group()
def command() -> None:
    """The agent of a site: takes what a catalogue assigns to it, and reports numbers."""


@command.command()
@click.argument("token", metavar="TOKEN|-")
@click.option("--folder", type=options.FILE, required=True, help="The agent's own folder, which is made.")
@click.option(
    "--store", type=options.FILE, required=True, help="The folder of releases that the server serves from."
)
@click.option("--verification-key", type=options.FILE, required=True, help="The public key of releases, PEM.")
@options.as_json
def enrol(token: str, folder: Path, store: Path, verification_key: Path, as_json: bool) -> None:
    """Join a catalogue with a token, which `scenario-model catalogue invite` prints; - reads it from standard input.

    The token tells the site whom to believe: the catalogue's CA and first root, and how new it is. The site's key is
    made here and stays here. With the token that it has joined with, nothing is done.
    """
    text = sys.stdin.read() if token == _STANDARD_INPUT else token
    load_public(verification_key)
    folder = folder.absolute()
    changed = join(Invitation.read(text), folder, store.absolute(), verification_key.absolute())
    told = f"enrolled; start `scenario-model edge run --config {folder / SETTINGS}`"
    text = f"{folder}: {told if changed else 'enrolled already with this token'}"
    click.echo(json.dumps({"changed": changed}) if as_json else text)


@command.command()
@_config
@_options
@_server
@_metrics
@options.as_json
def first(path: Path, more: Path | None, server: str | None, metrics: str | None, as_json: bool) -> None:
    """Bring the release that is assigned to the site and name it to the server, which has none yet.

    If it has one, nothing is done: `run` follows the catalogue from then on.
    """
    site = Site(_settings(path, more, server, metrics))
    changed = site.first()
    told = site.told
    click.echo(json.dumps({"release": told, "changed": changed}) if as_json else f"{told} is there")


@command.command()
@_config
@_options
@_server
@_metrics
@click.option("--once", is_flag=True, help="Do one step and exit.")
@options.as_json
@with_settings(EdgeSettings)
def run(
    path: Path, more: Path | None, server: str | None, metrics: str | None, once: bool, as_json: bool
) -> None:
    """Take what the catalogue assigns to this site, let the server serve it, and report numbers.

    Runs until SIGTERM. Whatever goes wrong, the site serves what it served. Nothing but what the exchange contract
    names leaves the site.
    """
    settings = _settings(path, more, server, metrics)
    site = Site(settings)
    if once:
        outcome = site.step()
        lines = (f"{name}: {value}" for name, value in outcome.items() if value)
        click.echo(json.dumps(outcome) if as_json else "\n".join(lines))
        return
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    # Sites that start together do not ask together.
    pause = random.uniform(_FIRST_PAUSE_S, max(_FIRST_PAUSE_S, settings.poll_seconds))  # noqa: S311
    while True:
        site.step()
        if _over_after(pause, site, over):
            return
        pause = settings.poll_seconds


@command.command()
@click.option("--config", "path", required=True, type=options.FILE, help="JSON file of the agent.")
@options.as_json
def status(path: Path, as_json: bool) -> None:
    """Show what the site serves, is assigned and last saw of the catalogue. Asks nothing of the cloud."""
    told = status_of(config.load_file(EdgeSettings, path))
    lines = (f"{name}: {'-' if value is None else value}" for name, value in told.items())
    click.echo(json.dumps(told) if as_json else "\n".join(lines))


def _over_after(seconds: float, site: Site, over: threading.Event) -> bool:
    """Pause; if the cloud could not be reached, send what waits as soon as it can be. True if it is all over."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        # Not all sites of a link at once.
        look = random.uniform(0.5, 1.5) if site.is_cut_off else left  # noqa: S311
        if over.wait(min(left, look)):
            return True
        site.catch_up()
    return over.is_set()


def _settings(path: Path, more: Path | None, server: str | None, metrics: str | None) -> EdgeSettings:
    settings = config.load_file(EdgeSettings, path)
    told: dict[str, object] = {name: url for name, url in (("server", server), ("metrics", metrics)) if url}
    if more is not None:
        given = config.load_file(AgentSettings, more)
        told |= {name: getattr(given, name) for name in given.model_fields_set}
    return settings.model_copy(update=told)
