"""`scenario-model drift`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from scenario_model import options
from scenario_model.drift.agreement import SHARES
from scenario_model.drift.baseline import FILE, Baseline
from scenario_model.drift.promise import promise
from scenario_model.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


@click.group("drift")
def command() -> None:
    """Whether traffic is still what a release was made for."""


@command.command()
@click.argument("release", type=options.FILE)
@click.option(
    "--windows",
    type=click.FloatRange(100),
    default=10_000,
    show_default=True,
    help="At least so many for each false alarm.",
)
@click.option(
    "--minutes", type=click.FloatRange(0.01), default=15, show_default=True, help="Length of a window."
)
@options.as_json
def show(release: Path, windows: float, minutes: float, as_json: bool) -> None:
    """Say what the baseline of the release in the folder RELEASE promises, and what it cannot see."""
    path = release / FILE
    if not path.is_file():
        raise InputError(
            "this release has no baseline: it was made of too few documents, or by an older version",
            where=str(path),
            remedy="train on more documents",
        )
    baseline = Baseline.read(path)
    found = promise(baseline, windows)
    if as_json:
        click.echo(json.dumps({**asdict(found), "tokens": len(baseline.tokens), "shares": SHARES}))
        return
    click.echo("\n".join(found.words(minutes)))
