"""`scenario-model lifecycle`."""

from __future__ import annotations

import getpass
import json
import logging
import signal
import threading
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from scenario_model import options
from scenario_model.config import load_file
from scenario_model.describe import with_settings
from scenario_model.edge.local_server import LocalServer
from scenario_model.errors import InputError, ScenarioModelError
from scenario_model.lifecycle.history import served_at
from scenario_model.lifecycle.settings import LifecycleHere
from scenario_model.lifecycle.step import Step
from scenario_model.lifecycle.trainer import Trainer
from scenario_model.release.lifecycle_journal import Journal
from scenario_model.release.stores import open_store
from scenario_model.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

    from scenario_model.lifecycle.step import Did

_LOG = logging.getLogger(__name__)
_config = click.option("--config", "path", required=True, type=options.FILE, help="JSON file; see below.")


@click.group("lifecycle")
def command() -> None:
    """Keep a served model good: watch its traffic, train again, try the new release, promote or drop it."""


@command.command()
@_config
@options.as_json
@with_settings(LifecycleHere)
def step(path: Path, as_json: bool) -> None:
    """Do what is next, once. It may take as long as training does; killed anywhere, the next one goes on."""
    _say(_step(path).run(), as_json)


@command.command()
@_config
@click.option("--every", type=click.FloatRange(0.1), default=60, show_default=True, metavar="SECONDS")
@with_settings(LifecycleHere)
def run(path: Path, every: float) -> None:
    """Step after step, until SIGTERM or SIGINT."""
    made, over, said = _step(path), threading.Event(), ""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    while not over.is_set():
        try:
            did = made.run()
            words = f"{did.did}: {did.why}"
        except ScenarioModelError as error:
            words = f"tried again in {every:g} s: {error}"
        if words != said:
            _LOG.info("%s", words)
        said = words
        over.wait(every)


@command.command()
@_config
@options.as_json
def approve(path: Path, as_json: bool) -> None:
    """Approve the retraining that was asked for."""
    _say(_step(path).approve(getpass.getuser()), as_json)


@command.command()
@_config
@click.option(
    "--at", "time", metavar="TIME", help="What was served at this time, and why; 2026-11-29T12:00:00+00:00."
)
@options.as_json
def history(path: Path, time: str | None, as_json: bool) -> None:
    """What happened, by the signed history."""
    made = _step(path)
    key = made.key.public_key()
    settings, entries = made.settings, Journal(made.store, made.settings.name).entries(made.key.public_key())
    if time is None:
        told: dict[str, Any] = {"entries": [asdict(entry) for entry in entries]}
        lines = [f"{entry.at}  {entry.event:9}  {entry.release or '-'}  {entry.why}" for entry in entries]
        click.echo(json.dumps(told) if as_json else "\n".join(lines) or "nothing happened yet")
        return
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        raise InputError(f"--at {time:.40}: not a time", remedy="write 2026-11-29T12:00:00+00:00") from None
    served = served_at(made.store, settings.name, settings.channel, key, entries, moment)
    told = asdict(served)
    click.echo(json.dumps(told) if as_json else "\n".join(f"{name}: {value}" for name, value in told.items()))


def _step(path: Path) -> Step:
    settings = load_file(LifecycleHere, path)
    trainer = Trainer(settings, settings.training) if settings.training else None
    server = LocalServer(settings.server, settings.follow)
    return Step(settings, open_store(settings.store), keys.signing_key(settings.signing_key), server, trainer)


def _say(did: Did, as_json: bool) -> None:
    click.echo(json.dumps(asdict(did)) if as_json else f"{did.did}: {did.why}")
