"""`scenario-model catalogue`: the commands about sites."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from scenario_model import options
from scenario_model.catalogue.enrolment import Enrolments, Invitation
from scenario_model.catalogue.shelf import Shelf
from scenario_model.release.stores import open_store

if TYPE_CHECKING:
    from pathlib import Path

_DAY = 86_400


@click.command()
@click.argument("site")
@click.option("--ring", required=True, help="The ring whose releases it follows.")
@click.option("--url", required=True, help="Where sites reach the catalogue's web server, https://…")
@click.option(
    "--authority", type=options.FILE, required=True, help="PEM of the CA of that server's certificate."
)
@click.option("--days", default=7.0, show_default=True, help="How long the token is good.")
@options.store
@options.as_json
def invite(site: str, ring: str, url: str, authority: Path, days: float, store: str, as_json: bool) -> None:
    """Print a token with which SITE may join, once. Whoever has it can join in its name: hand it over in private."""
    opened = open_store(store)
    shelf = Shelf(opened)
    # What the site pins is the first root, and the version that is shown now.
    shelf.root()
    first = opened.read("catalogue/metadata/1.root.json") or b""
    _, timestamp = shelf.timestamp()
    secret = Enrolments(opened).invite(site, ring, time.time() + days * _DAY)
    told = Invitation(
        url=url,
        site=site,
        ring=ring,
        root=first.decode(),
        authority=authority.read_text(encoding="ascii"),
        at_least=timestamp.signed.snapshot_meta.version if timestamp else 0,
        secret=secret,
    )
    click.echo(json.dumps({"site": site, "token": told.token()}) if as_json else told.token())


@click.command()
@click.argument("site")
@options.store
@options.as_json
def revoke(site: str, store: str, as_json: bool) -> None:
    """Let SITE in no more, at once. It goes on serving what it has; invite it again to let it join again."""
    changed = Enrolments(open_store(store)).revoke(site, time.time())
    text = f"{site} is revoked{'' if changed else ' (unchanged)'}"
    click.echo(json.dumps({"site": site, "changed": changed}) if as_json else text)


COMMANDS: tuple[click.Command, ...] = (invite, revoke)
