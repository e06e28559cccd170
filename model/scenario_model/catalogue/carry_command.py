"""`scenario-model catalogue carry`: a copy for sites without a link."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from scenario_model import options
from scenario_model.catalogue.carry import carry as copy
from scenario_model.catalogue.signers import signer
from scenario_model.release.stores import open_store

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("folder", type=options.FILE)
@click.option("--days", default=365.0, show_default=True, help="How long it shall be believed.")
@click.option("--ring", "rings", multiple=True, help="For sites of this ring; repeat it. Default: all.")
@click.option(
    "--site", "sites", multiple=True, help="For this site, which has its own assignment; repeat it."
)
@options.store
@options.online_key
@options.as_json
def carry(
    folder: Path,
    days: float,
    rings: tuple[str, ...],
    sites: tuple[str, ...],
    store: str,
    online_key: str,
    as_json: bool,
) -> None:
    """Copy metadata and assigned releases into FOLDER, to be carried to sites whose `catalogue.url` is a folder.

    It is believed for --days, or until the root or the list of releases ends, which only offline keys can prolong.
    """
    done = copy(open_store(store), folder, days, signer(online_key), rings=rings, sites=sites)
    told = {"folder": str(folder), "releases": done.releases, "until": done.until.isoformat()}
    text = f"{folder}: {len(done.releases)} releases, believed until {done.until:%Y-%m-%d}"
    click.echo(json.dumps(told) if as_json else text)
