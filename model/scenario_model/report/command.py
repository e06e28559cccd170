"""`scenario-model report`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from scenario_model import options
from scenario_model.config import load_file
from scenario_model.errors import InputError
from scenario_model.observe.observer import WINDOWS
from scenario_model.observe.windows import WindowLog
from scenario_model.report import drift_report
from scenario_model.serve.settings import ServeSettings

if TYPE_CHECKING:
    from pathlib import Path


@click.group("report")
def command() -> None:
    """A signed report of drift, to be carried from where a model is served to where it is trained."""


@command.command()
@click.option("--config", required=True, type=options.FILE, help="The server's serve.json, on its host.")
@click.option("--out", required=True, type=options.FILE, help="The report, a new file.")
@click.option("--certificate", type=options.FILE, help="Signer's certificate; default: the server's own.")
@click.option("--private-key", type=options.FILE, help="Signer's ECDSA key; default: the server's own.")
def write(config: Path, out: Path, certificate: Path | None, private_key: Path | None) -> None:
    """Write what this host's server has seen of drift."""
    settings = load_file(ServeSettings, config)
    if settings.observation is None:
        raise InputError(
            "this server does not observe its traffic", where=str(config), remedy="set 'observation'"
        )
    windows = WindowLog(settings.observation.state / WINDOWS).read()
    report = drift_report.of_windows(
        windows,
        windows[-1].release if windows else settings.name,
        settings.observation.windows_per_false_alarm,
    )
    content = drift_report.signed(
        report, certificate or settings.tls.certificate, private_key or settings.tls.private_key
    )
    drift_report.keep(out, content)
    click.echo(f"{out}: {report.drift.release} asks for {report.drift.asks}")


@command.command()
@click.argument("path", metavar="REPORT", type=options.FILE)
@click.option(
    "--authority", required=True, type=options.FILE, help="PEM file of who issued the server's certificate."
)
@click.option("--picture", type=options.FILE, help="Also write the evidence over time there, as an SVG.")
@options.as_json
def show(path: Path, authority: Path, picture: Path | None, as_json: bool) -> None:
    """Check a report's signature, and say what it says."""
    found = drift_report.read(path, authority)
    told = found.report
    if picture:
        drift_report.keep(picture, told.picture.encode())
    if as_json:
        click.echo(json.dumps({**told.model_dump(mode="json", exclude={"picture"}), "signer": found.signer}))
        return
    lines = [f"{told.drift.release} asks for {told.drift.asks} ({found.signer})"]
    lines += [
        f"  {each.name}: {each.value:g}, alarm at {each.threshold:g}{'  ALARM' if each.value >= each.threshold else ''}"
        for each in told.drift.signals
    ]
    lines.append(f"  {told.windows} windows, the last {told.asking} of them asked for retraining")
    if told.sites:
        since = datetime.fromtimestamp(told.sites.since, UTC).isoformat(timespec="seconds")
        lines.append(f"  {told.sites.asking} of {told.sites.watching} sites ask for it, since {since}")
    lines.append(
        f"  promised: without a change, at most one alarm in {told.windows_per_false_alarm:,.0f} windows"
    )
    click.echo("\n".join(lines))
